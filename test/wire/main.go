// Wirecheck holds our messages against the published Go package of CSI 1.12:
//
//	wirecheck compare FILE   every declaration of a descriptor set (buf build -o FILE) against the published ones
//	wirecheck fill COUNT     COUNT random messages of each type, a JSON line each
//	wirecheck same           reads those lines with what came back, and compares
//
// Differences are printed, and the exit code is 1.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// sample is one message on its way: encoded here, and encoded again by the other side.
type sample struct {
	Type string `json:"type"`
	Sent []byte `json:"sent"`
	Back []byte `json:"back,omitempty"`
}

func main() {
	var differences []string
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "compare":
		differences, err = compare(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "fill":
		err = fill(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "same":
		differences, err = same()
	default:
		err = fmt.Errorf("usage: wirecheck compare FILE | fill COUNT | same")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, line := range differences {
		fmt.Println(line)
	}
	if len(differences) > 0 {
		os.Exit(1)
	}
}

func compare(file string) ([]string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, err
	}
	ours, err := files.FindFileByPath("csi.proto")
	if err != nil {
		return nil, err
	}
	return difference(facts(csi.File_csi_proto), facts(ours)), nil
}

func fill(count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	for _, message := range messages(csi.File_csi_proto) {
		for i := 0; i < n; i++ {
			// The same samples in every run.
			made := random(rand.New(rand.NewSource(int64(i))), message, 0)
			sent, err := proto.MarshalOptions{Deterministic: true}.Marshal(made.Interface())
			if err != nil {
				return err
			}
			if err := encoder.Encode(sample{Type: string(message.FullName()), Sent: sent}); err != nil {
				return err
			}
		}
	}
	return nil
}

func same() ([]string, error) {
	var differences []string
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	seen := 0
	for lines.Scan() {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, err
		}
		kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(s.Type))
		if err != nil {
			return nil, err
		}
		sent, back := kind.New().Interface(), kind.New().Interface()
		if err := proto.Unmarshal(s.Sent, sent); err != nil {
			return nil, err
		}
		if err := proto.Unmarshal(s.Back, back); err != nil {
			differences = append(differences, fmt.Sprintf("%s: what came back cannot be read: %v", s.Type, err))
		} else if !proto.Equal(sent, back) {
			differences = append(differences, fmt.Sprintf("%s: sent {%v}, got {%v}", s.Type, sent, back))
		}
		seen++
	}
	fmt.Fprintf(os.Stderr, "%d messages compared\n", seen)
	return differences, lines.Err()
}
