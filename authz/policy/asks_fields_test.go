package policy

import (
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/checkpoint"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	swarmapi "github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/volume"

	"moorgate/router"
)

// TestEveryFieldHasAVerdict walks the Engine's types beside the terms.
func TestEveryFieldHasAVerdict(t *testing.T) {
	for of, body := range map[any]*term{
		reflect.TypeFor[container.CreateRequest]():    containerCreate,
		reflect.TypeFor[container.UpdateConfig]():     containerUpdate,
		reflect.TypeFor[container.Config]():           containerConfig,
		reflect.TypeFor[container.ExecOptions]():      execCreate,
		reflect.TypeFor[container.ExecStartOptions](): execStart,
		reflect.TypeFor[swarmapi.ServiceSpec]():       serviceSpec,
		reflect.TypeFor[volume.CreateOptions]():       volumeCreate,
		reflect.TypeFor[volume.UpdateOptions]():       volumeUpdate,
		reflect.TypeFor[network.CreateRequest]():      networkCreate,
		reflect.TypeFor[network.ConnectOptions]():     networkConnect,
		reflect.TypeFor[checkpoint.CreateOptions]():   checkpointCreate,
	} {
		of := of.(reflect.Type)
		covers(t, of, body, of.String())
	}
	for _, route := range router.Table() {
		if bodies[route.Action] != nil && route.Body != router.JSON {
			t.Errorf("%s has terms and no JSON body", route.Action)
		}
	}
}

func covers(t *testing.T, of reflect.Type, with *term, path string) {
	t.Helper()
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	switch {
	case with == nil:
		t.Errorf("%s has no verdict", path)
		return
	case with.members == nil && with.each == nil && with.judge != nil && closed(t, with, of):
		return
	}
	switch of.Kind() {
	case reflect.Struct:
		fields := map[string]reflect.Type{}
		flatten(of, fields)
		for name, field := range fields {
			covers(t, field, with.members[name], path+"."+name)
		}
		for name := range with.members {
			if fields[name] == nil && !(name == "Container" && of == reflect.TypeFor[container.ExecOptions]()) &&
				!((name == "hijack" || name == "stdin") && of == reflect.TypeFor[container.ExecStartOptions]()) {
				t.Errorf("%s.%s is no field of the Engine's", path, name)
			}
		}
	case reflect.Slice, reflect.Map:
		element := of.Elem()
		for element.Kind() == reflect.Pointer {
			element = element.Elem()
		}
		if element.Kind() == reflect.Struct && element.NumField() > 0 {
			covers(t, element, with.each, path+"[]")
		}
	}
}

// closed says whether a term refuses a value of a type whatever is in it.
func closed(t *testing.T, with *term, of reflect.Type) bool {
	text := `{"x":{"y":"z"}}`
	if of.Kind() == reflect.Slice {
		text = `[` + text + `]`
	}
	d, err := router.ParseDocument([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return with.judge(&asks{ctx: t.Context(), rules: &ContainerRules{}}, "x", d.Root()) != nil
}

func flatten(of reflect.Type, into map[string]reflect.Type) {
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		for inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			flatten(inner, into)
		case name == "":
			into[f.Name] = f.Type
		default:
			into[name] = f.Type
		}
	}
}
