package main

import (
	"math"
	"math/rand"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// deepest message within a message that is filled.
const deepest = 5

// random fills most fields of a message, with values at the edges of their types more often than chance would.
func random(r *rand.Rand, kind protoreflect.MessageDescriptor, depth int) protoreflect.Message {
	known, err := protoregistry.GlobalTypes.FindMessageByName(kind.FullName())
	if err != nil {
		panic(err)
	}
	m := known.New()
	fields := m.Descriptor().Fields()
	for i := 0; i < fields.Len(); i++ {
		f := fields.Get(i)
		if r.Intn(8) == 0 || (depth >= deepest && f.Message() != nil && !f.IsMap()) {
			continue
		}
		switch {
		case f.IsMap():
			for n := r.Intn(4); n > 0; n-- {
				m.Mutable(f).Map().Set(value(r, f.MapKey(), depth).MapKey(), value(r, f.MapValue(), depth))
			}
		case f.IsList():
			for n := r.Intn(4); n > 0; n-- {
				m.Mutable(f).List().Append(value(r, f, depth))
			}
		default:
			m.Set(f, value(r, f, depth))
		}
	}
	return m
}

func value(r *rand.Rand, f protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.Intn(2) == 0)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32([]int32{0, 1, -1, math.MinInt32, math.MaxInt32, r.Int31()}[r.Intn(6)])
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64([]int64{0, 1, -1, math.MinInt64, math.MaxInt64, r.Int63()}[r.Intn(6)])
	case protoreflect.EnumKind:
		// Numbers that this version does not have must survive too.
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(r.Intn(20)))
	case protoreflect.StringKind:
		words := []string{"", "a", "/var/lib/x", "größe", "日本\t語", "🦀\n", "\x00", strings.Repeat("long ", r.Intn(900)), "../.."}
		return protoreflect.ValueOfString(words[r.Intn(len(words))])
	case protoreflect.MessageKind:
		return protoreflect.ValueOfMessage(random(r, f.Message(), depth+1))
	default:
		panic("no value for " + f.Kind().String())
	}
}
