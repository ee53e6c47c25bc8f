package main

import (
	"fmt"
	"sort"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// facts lists every declaration of a file by its full name, as text that is equal exactly if the declarations are.
func facts(file protoreflect.FileDescriptor) map[string]string {
	found := map[string]string{"syntax": file.Syntax().String(), "package": string(file.Package())}
	for i := 0; i < file.Services().Len(); i++ {
		service := file.Services().Get(i)
		found[string(service.FullName())] = "service" + options(service)
		for j := 0; j < service.Methods().Len(); j++ {
			m := service.Methods().Get(j)
			found[string(m.FullName())] = fmt.Sprint("method ", m.Input().FullName(), m.IsStreamingClient(), " ",
				m.Output().FullName(), m.IsStreamingServer(), options(m))
		}
	}
	for i := 0; i < file.Extensions().Len(); i++ {
		x := file.Extensions().Get(i)
		found[string(x.FullName())] = "extends " + string(x.ContainingMessage().FullName()) + " " + fieldFacts(x)
	}
	enumFacts(found, file.Enums())
	for _, m := range messages(file) {
		found[string(m.FullName())] = fmt.Sprint("message", m.ReservedRanges(), m.ReservedNames(), options(m))
		enumFacts(found, m.Enums())
		for i := 0; i < m.Fields().Len(); i++ {
			found[string(m.Fields().Get(i).FullName())] = fieldFacts(m.Fields().Get(i))
		}
	}
	return found
}

func fieldFacts(f protoreflect.FieldDescriptor) string {
	kind := f.Kind().String()
	if f.IsMap() {
		kind = fmt.Sprint("map of ", f.MapKey().Kind(), " to ", f.MapValue().Kind())
	} else if f.Message() != nil {
		kind = string(f.Message().FullName())
	} else if f.Enum() != nil {
		kind = string(f.Enum().FullName())
	}
	oneof := ""
	if f.ContainingOneof() != nil {
		oneof = " in " + string(f.ContainingOneof().FullName())
	}
	return fmt.Sprint("field ", f.Number(), " ", f.Cardinality(), " ", kind, oneof, " presence ", f.HasPresence(),
		" packed ", f.IsPacked(), " json ", f.JSONName(), options(f))
}

func enumFacts(found map[string]string, enums protoreflect.EnumDescriptors) {
	for i := 0; i < enums.Len(); i++ {
		e := enums.Get(i)
		found[string(e.FullName())] = fmt.Sprint("enum", e.ReservedRanges(), e.ReservedNames(), options(e))
		for j := 0; j < e.Values().Len(); j++ {
			v := e.Values().Get(j)
			found[string(e.FullName())+"."+string(v.Name())] = fmt.Sprint("value ", v.Number(), options(v))
		}
	}
}

// options as text; csi_secret and the alpha marks are known to the published package, so their values show.
func options(d protoreflect.Descriptor) string {
	set, ok := d.Options().(proto.Message)
	if !ok || !set.ProtoReflect().IsValid() {
		return ""
	}
	var shown []string
	set.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		shown = append(shown, fmt.Sprint(" ", f.FullName(), "(", f.Number(), ")=", v))
		return true
	})
	sort.Strings(shown)
	if unknown := set.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		shown = append(shown, " unknown "+prototext.Format(set))
	}
	return strings.Join(shown, "")
}

// messages lists the messages of a file, the nested ones too, without the entries of maps.
func messages(parent interface {
	Messages() protoreflect.MessageDescriptors
}) []protoreflect.MessageDescriptor {
	var all []protoreflect.MessageDescriptor
	for i := 0; i < parent.Messages().Len(); i++ {
		if m := parent.Messages().Get(i); !m.IsMapEntry() {
			all = append(append(all, m), messages(m)...)
		}
	}
	return all
}

func difference(published, ours map[string]string) []string {
	var lines []string
	for name, fact := range published {
		if other, there := ours[name]; !there {
			lines = append(lines, name+": missing; published: "+fact)
		} else if other != fact {
			lines = append(lines, name+": ours: "+other+"; published: "+fact)
		}
	}
	for name := range ours {
		if _, there := published[name]; !there {
			lines = append(lines, name+": not in the published API")
		}
	}
	sort.Strings(lines)
	return lines
}
