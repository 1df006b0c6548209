package main

import (
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// only reads the one detail of the message's type. Of several, or of what cannot be read, nothing is believed.
func only(st *status.Status, message proto.Message) bool {
	var found int
	var err error
	for _, packed := range st.Proto().GetDetails() {
		if packed.MessageIs(message) {
			found++
			err = packed.UnmarshalTo(message)
		}
	}
	return found == 1 && err == nil
}

// detailNames are the simple names of the google.rpc messages, sorted.
func detailNames(st *status.Status) (names []string) {
	for _, packed := range st.Proto().GetDetails() {
		if name := packed.MessageName(); name.Parent() == "google.rpc" {
			names = append(names, string(name.Name()))
		}
	}
	slices.Sort(names)
	return names
}

// millis rounds up: a call that comes too early is refused again. A duration that protobuf does not allow is left out,
// a negative one is over.
func millis(duration *durationpb.Duration) *int64 {
	if !duration.IsValid() {
		return nil
	}
	return new(max(0, duration.Seconds*1000+(int64(duration.Nanos)+999_999)/1_000_000))
}

func codeName(of codes.Code) string { return code.Code(of).String() }

// shortName is an enum's value without the prefix, empty where it is unspecified or not known here.
func shortName(value protoreflect.Enum, prefix string) string {
	known := value.Descriptor().Values().ByNumber(value.Number())
	if known == nil || value.Number() == 0 {
		return ""
	}
	return strings.TrimPrefix(string(known.Name()), prefix)
}

func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}
