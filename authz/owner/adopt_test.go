package owner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moorgate/router"
)

// TestAdopt hands over what was made beside moorgate, and what is another's.
func TestAdopt(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "adopted.jsonl")
	f := real(t, func(o *Options) { o.Adopted = file })
	f.watch()
	made := f.direct("POST", "/containers/create?name="+f.mark+"old", box(""))
	f.expect(made, 201)
	t.Cleanup(func() { f.direct("DELETE", "/containers/"+made.id()+"?force=1", "") })
	name := f.mark + "data"
	f.expect(f.direct("POST", "/volumes/create", `{"Name":"`+name+`"}`), 201)
	t.Cleanup(func() { f.direct("DELETE", "/volumes/"+name, "") })
	bobs := f.container("bob", "bobs", "")
	get := func(path string) ([]byte, error) { return f.Engines.Get(t.Context(), "local", path) }
	var all []Adoption
	for _, of := range []struct {
		kind router.Kind
		name string
	}{{router.Container, f.mark + "old"}, {router.Volume, name}, {router.Container, bobs[:12]}} {
		a, err := Find(get, "local", of.kind, of.name)
		if err != nil {
			t.Fatal(err)
		}
		a.User = "alice"
		all = append(all, a)
	}
	if all[0].ID != made.id() || all[2].ID != bobs || all[1].ID != name || all[1].Created == "" {
		t.Fatalf("found %+v", all)
	}
	f.expect(f.as("alice", "GET", "/containers/"+f.mark+"old/json", ""), 404)
	f.expect(f.as("bob", "GET", "/containers/"+bobs+"/json", ""), 200)
	if err := Adopt(file, all...); err != nil {
		t.Fatal(err)
	}
	f.until("alice has it", func() bool { return f.as("alice", "GET", "/containers/"+f.mark+"old/json", "").code == 200 })
	f.expect(f.as("alice", "GET", "/containers/"+bobs+"/json", ""), 200)
	f.expect(f.as("bob", "GET", "/containers/"+bobs+"/json", ""), 404)
	f.expect(f.as("alice", "GET", "/volumes/"+name, ""), 200)
	f.expect(f.as("bob", "GET", "/volumes/"+name, ""), 404)

	// A new volume of that name is another. Engines give whole seconds.
	f.expect(f.as("alice", "DELETE", "/volumes/"+name, ""), 204)
	time.Sleep(1100 * time.Millisecond)
	f.expect(f.direct("POST", "/volumes/create", `{"Name":"`+name+`"}`), 201)
	f.expect(f.as("alice", "GET", "/volumes/"+name, ""), 404)

	if _, err := Find(get, "local", router.Container, "../info"); err == nil {
		t.Error("a path was taken for a name")
	}
}

// TestKeepSeal: what was built before a start is its builder's after it.
func TestKeepSeal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	start := func() *Owner { return newOwner(newFake(), func(o *Options) { o.Adopted = file }) }
	first := start().memory.sealOf("alice")
	if again := start().memory.sealOf("alice"); again != first {
		t.Error("the key is another after a start")
	}
	if start().memory.sealOf("bob") == first {
		t.Error("bob's seal is alice's")
	}
	if mode, err := os.Stat(file + ".key"); err != nil || mode.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", mode, err)
	}
	_ = os.WriteFile(file+".key", []byte("short"), 0o600)
	one, two := start().memory.sealOf("alice"), start().memory.sealOf("alice")
	if one == first || one == two {
		t.Error("a key that cannot be read is guessed")
	}
	other := newOwner(newFake())
	if other.labelled("local", &object{Kind: router.Image}, map[string]string{Label: "alice", sealLabel: first}) != "" {
		t.Error("another's seal counts")
	}
}

// TestAdoptions reads files that people may have written.
func TestAdoptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	if all, err := ReadAdoptions(file); all != nil || err != nil {
		t.Errorf("no file: %v, %v", all, err)
	}
	for text, fault := range map[string]string{
		"\n" + `{"engine":"e","kind":"container","id":"1","user":"a"}`:              "",
		`{"engine":"e","kind":"volume","id":"v","created":"2026","user":"a"}`:       "",
		`{"engine":"e","kind":"volume","id":"v","user":"a"}`:                        ":1: created belongs to volumes",
		`{"engine":"e","kind":"container","id":"1","created":"2026","user":"a"}`:    ":1: created belongs to volumes",
		`{"engine":"e","kind":"node","id":"1","user":"a"}`:                          `:1: "node" has no owner`,
		`{"engine":"e","kind":"container","id":"1"}`:                                ":1: engine, id and user",
		`{"engine":"e","kind":"container","id":"1","user":"a"}` + "\n{":             ":2: ",
		`{"engine":"e","kind":"container","id":"1","user":"a","since":"yesterday"}`: ":1: ",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadAdoptions(file)
		if (err == nil) != (fault == "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v", text, err)
		}
	}
	// A file that cannot be read changes nothing of what was known.
	o := newOwner(newFake(), func(o *Options) { o.Adopted = file })
	good := Adoption{Engine: "local", Kind: router.Network, ID: "n", User: "alice"}
	_ = os.Remove(file)
	if err := Adopt(file, good); err != nil {
		t.Fatal(err)
	}
	o.readAdopted()
	_ = os.WriteFile(file, []byte("{"), 0o600)
	o.readAdopted()
	if user, ok := o.adopted.owner("local", &object{Kind: router.Network, ID: "n"}); !ok || user != "alice" {
		t.Errorf("%q, %t", user, ok)
	}
}
