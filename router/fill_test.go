package router

import (
	"encoding/json"
	"testing"

	"github.com/docker/docker/api/types/container"
)

func TestFilled(t *testing.T) {
	route := &Route{Of: container.ExecOptions{}}
	body, err := ParseDocument([]byte(`{"Cmd":["sh"],"Tty":true,"New":{"a":[1,2.5,null]}}`), container.ExecOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := (&Call{Route: route, Body: body}).Filled().(map[string]any)
	for key, want := range map[string]string{
		"User": `""`, "Privileged": `false`, "Tty": `true`, "Cmd": `["sh"]`, "Env": `[]`, "New": `{"a":[1,2.5,null]}`,
	} {
		if text, _ := json.Marshal(got[key]); string(text) != want {
			t.Errorf("%s is %s, want %s", key, text, want)
		}
	}
	if v := (&Call{Route: &Route{}}).Filled(); v != nil {
		t.Errorf("a route without a body gives %v", v)
	}
	create := &Route{Of: container.CreateRequest{}}
	all := (&Call{Route: create}).Filled().(map[string]any)
	if p, ok := all["HostConfig"].(map[string]any)["Privileged"].(bool); !ok || p {
		t.Errorf("HostConfig.Privileged of no body is %v", all["HostConfig"])
	}
}
