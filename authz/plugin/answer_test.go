package plugin

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/docker/go-plugins-helpers/authorization"
)

// badAnswers are bodies of a 200 that must not allow.
var badAnswers = map[string]string{
	"nothing":               "",
	"space":                 " \n",
	"null":                  "null",
	"true":                  "true",
	"a string":              `"Allow"`,
	"a list":                `[{"Allow":true}]`,
	"no Allow":              `{}`,
	"only words":            `{"Msg":"sure"}`,
	"Allow null":            `{"Allow":null}`,
	"Allow as text":         `{"Allow":"true"}`,
	"Allow as number":       `{"Allow":1}`,
	"Allow as list":         `{"Allow":[true]}`,
	"lower case":            `{"allow":true}`,
	"upper case":            `{"ALLOW":true}`,
	"lower case beside":     `{"Allow":true,"allow":false}`,
	"lower case before":     `{"allow":true,"Allow":false}`,
	"twice":                 `{"Allow":false,"Allow":true}`,
	"twice the same":        `{"Allow":true,"Allow":true}`,
	"twice, escaped":        `{"Allow":false,"\u0041llow":true}`,
	"Err":                   `{"Allow":true,"Err":"broken"}`,
	"err in lower case":     `{"Allow":true,"err":"broken"}`,
	"Err as object":         `{"Allow":true,"Err":{}}`,
	"Msg as number":         `{"Allow":true,"Msg":1}`,
	"two answers":           `{"Allow":true}{"Allow":false}`,
	"something behind":      `{"Allow":true} sure`,
	"a mark before":         "\ufeff" + `{"Allow":true}`,
	"half":                  `{"Allow":true`,
	"half a word":           `{"Allow":tru`,
	"a comma":               `{"Allow":true,}`,
	"no UTF-8":              "{\"Allow\":true,\"Msg\":\"\xff\"}",
	"half a surrogate pair": `{"Allow":true,"Msg":"\ud800"}`,
	"HTML":                  `<html><body>{"Allow":true}</body></html>`,
	"garbage":               "\x00\x01\x02\xff{\"Allow\":true}",
	"deep":                  `{"Allow":true,"x":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}`,
	"gzip":                  "\x1f\x8b\x08\x00\x00\x00\x00\x00",
}

func TestParseAnswer(t *testing.T) {
	for name, raw := range badAnswers {
		if a, err := parseAnswer([]byte(raw)); err == nil || a.allow {
			t.Errorf("%s: %+v, %v", name, a, err)
		} else if len(err.Error()) > 2*maxWords {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
	for raw, want := range map[string]answer{
		`{"Allow":true}`: {allow: true},
		" {\"Allow\" : true , \"Msg\":\"fine\",\"Err\":\"\"}\n": {true, "fine"},
		`{"\u0041llow":true}`:                    {allow: true},
		`{"Allow":true,"Err":null,"Msg":null}`:   {allow: true},
		`{"Allow":true,"Reasons":["a"]}`:         {allow: true},
		`{"Allow":false,"Msg":"no\n\u001b[31m"}`: {false, `no\n\x1b[31m`},
		`{"Allow":false}`:                        {},
	} {
		if a, err := parseAnswer([]byte(raw)); err != nil || a != want {
			t.Errorf("%s: %+v, %v", raw, a, err)
		}
	}
}

func TestParseManifest(t *testing.T) {
	for raw, ok := range map[string]bool{
		`{"Implements": ["authz"]}`:                 true,
		`{"Implements":["VolumeDriver","authz"]}`:   true,
		`{"Implements":["VolumeDriver"]}`:           false,
		`{"Implements":["Authz"]}`:                  false,
		`{"Implements":[]}`:                         false,
		`{"Implements":null}`:                       false,
		`{"Implements":"authz"}`:                    false,
		`{"Implements":[["authz"]]}`:                false,
		`{"implements":["authz"]}`:                  false,
		`{"Implements":[],"Implements":["authz"]}`:  false,
		`{"Implements":["authz"]}{"Implements":[]}`: false,
		`{}`:        false,
		`null`:      false,
		``:          false,
		`["authz"]`: false,
		`{"Implements":["` + strings.Repeat("x", 1e5) + `"]}`: false,
	} {
		if err := parseManifest([]byte(raw)); (err == nil) != ok {
			t.Errorf("%.80s: %v", raw, err)
		}
	}
}

// FuzzAnswer holds that no answer allows which Docker's own types, or a reader
// with no types at all, would not take for an allowance.
func FuzzAnswer(f *testing.F) {
	for _, raw := range badAnswers {
		f.Add([]byte(raw))
	}
	f.Add([]byte(`{"Allow":true}`))
	f.Add([]byte(`{"Allow":true,"Msg":"fine","Err":""}`))
	f.Add([]byte(`{"Allow":false,"Msg":"no\u202e"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := parseAnswer(raw)
		if err != nil {
			if a.allow {
				t.Fatal("allowed beside an error")
			}
			if s := err.Error(); len(s) > 2*maxWords || !printable(s) {
				t.Fatalf("the error is %q", s)
			}
			return
		}
		if len(a.msg) > maxWords+len("...") || !printable(a.msg) {
			t.Fatalf("the message is %q", a.msg)
		}
		var theirs authorization.Response
		if err := json.Unmarshal(raw, &theirs); err != nil || theirs.Allow != a.allow || theirs.Err != "" {
			t.Fatalf("Docker's own reading is %+v, %v", theirs, err)
		}
		var any map[string]any
		if err := json.Unmarshal(raw, &any); err != nil || any["Allow"] != a.allow {
			t.Fatalf("a reading without types is %v, %v", any, err)
		}
	})
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}
