package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moorgate/authz/owner"
	"moorgate/proxy/enginetest"
)

const oldID = "1111111111111111111111111111111111111111111111111111111111111111"

// TestAdopt runs the command before an Engine that has one container.
func TestAdopt(t *testing.T) {
	engine := enginetest.Start(t)
	engine.On("GET /containers/{name...}/json", func(c *enginetest.Conn) {
		if strings.Contains(c.Request.Target, "old") {
			c.Reply(200, "application/json", `{"Id":"`+oldID+`","Name":"/old"}`)
			return
		}
		c.Reply(404, "application/json", `{"message":"No such container: none"}`)
	})
	dir := t.TempDir()
	config := filepath.Join(dir, "moorgate.yaml")
	write := func(more string) {
		text := fmt.Sprintf("listen: [{ address: unix://%s/m.sock, identify: [peer] }]\nengines: { local: { address: %q } }\n%s", dir, engine.Address, more)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, error) {
		cmd := adoptCommand()
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs(append([]string{"--config", config, "--user", "alice"}, args...))
		err := cmd.Execute()
		return out.String(), err
	}
	write("")
	if _, err := run("container", "old"); err == nil || !strings.Contains(err.Error(), "write adopted:") {
		t.Errorf("without a file: %v", err)
	}
	write("adopted: adopted.jsonl\n")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"container"}, "at least 2 arg"},
		{[]string{"node", "x"}, `"node" is no KIND`},
		{[]string{"container", "none"}, "No such container: none"},
		{[]string{"container", "old", "none"}, "No such container: none"},
		{[]string{"container", "../info"}, "is no name"},
		{[]string{"--engine", "east", "container", "old"}, `no engine is called "east"`},
		{[]string{"--user", "../x", "container", "old"}, "cannot be a user's name"},
	} {
		if _, err := run(test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %s", test.args, err, test.want)
		}
	}
	file := filepath.Join(dir, "adopted.jsonl")
	if all, err := owner.ReadAdoptions(file); len(all) != 0 || err != nil {
		t.Errorf("refused commands wrote %v, %v", all, err)
	}
	if out, err := run("container", "old"); err != nil || out != oldID+"\n" {
		t.Errorf("%q, %v", out, err)
	}
	all, err := owner.ReadAdoptions(file)
	if want := (owner.Adoption{Engine: "local", Kind: "container", ID: oldID, User: "alice"}); err != nil || len(all) != 1 || all[0] != want {
		t.Errorf("%+v, %v", all, err)
	}
}
