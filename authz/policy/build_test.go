package policy

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// judged gives the images that a Dockerfile is said to use, and why it is
// refused.
func judged(dockerfile string, args map[string]string) (asked []string, err error) {
	b := &build{
		dockerfile: defaultDockerfile, args: args, bases: map[string]string{},
		allow: func(name string) error { asked = append(asked, name); return nil },
		base: func(name string) (string, []string, error) {
			if name == "onbuild" {
				return "sha256:o", []string{"COPY --from=hidden / /"}, nil
			}
			if name == "labels" {
				return "sha256:l", []string{"LABEL moorgate.owner=bob"}, nil
			}
			return "sha256:x", nil, nil
		},
	}
	_, err = b.judge(defaultDockerfile, []byte(dockerfile))
	return asked, err
}

// TestBuildPinned: a name could be given to another image before the Engine comes
// to its stage.
func TestBuildPinned(t *testing.T) {
	b := &build{
		dockerfile: defaultDockerfile, args: map[string]string{}, bases: map[string]string{},
		allow: func(string) error { return nil },
		base: func(name string) (string, []string, error) {
			if name == "absent" {
				return "", nil, nil
			}
			return "sha256:" + name, nil, nil
		},
	}
	for text, want := range map[string]string{
		"FROM a":                               "FROM sha256:a",
		"\xef\xbb\xbffrom a as B\r\nRUN x\r\n": "FROM sha256:a as B\nRUN x\r\n",
		"ARG X=a\nFROM $X\nFROM absent\nRUN x": "ARG X=a\nFROM sha256:a\nFROM absent\nRUN x",
		"# c\nFROM \\\n# x\n --platform=linux/amd64 \\\n\n a AS one\nFROM One\nFROM scratch\nFROM b": "# c\nFROM --platform=linux/amd64 sha256:a AS one\n\n\n\n\nFROM One\nFROM scratch\nFROM sha256:b",
		"#escape=`\nFROM `\na\nCOPY --from=a / /":                                                    "#escape=`\nFROM sha256:a\n\nCOPY --from=a / /",
		"FROM a\nFROM \\\nb \\\n":                                                                    "FROM sha256:a\nFROM sha256:b\n\n",
	} {
		got, err := b.judge(defaultDockerfile, []byte(text))
		if err != nil || string(got) != want {
			t.Errorf("%q is sent as\n%q %v, want\n%q", text, got, err, want)
		}
	}
}

func TestBuildUses(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		args       map[string]string
	}{
		"a stage's own name is an image until it is complete": {text: "FROM a AS evil\nCOPY --from=evil / /", want: "a evil"},
		"a complete stage is none":                            {text: "FROM a AS One\nFROM oNe\nCOPY --from=ONE / /", want: "a"},
		"a later stage's name is an image":                    {text: "FROM a\nCOPY --from=later / /\nFROM b AS later", want: "a later b"},
		"scratch is none only in FROM":                        {text: "FROM scratch\nCOPY --from=scratch / /", want: "scratch"},
		"a stage called scratch":                              {text: "FROM a AS scratch\nFROM scratch", want: "a"},
		"triggers":                                            {text: "FROM onbuild", want: "onbuild hidden"},
		"triggers to be":                                      {text: "FROM a AS evil\nONBUILD COPY --from=evil / /", want: "a evil"},
		"no triggers in COPY":                                 {text: "FROM a\nCOPY --from=onbuild / /", want: "a onbuild"},
		"numbers":                                             {text: "FROM a\nFROM b\nCOPY --from=0 / /", want: "a b"},
		"numbers with a sign":                                 {text: "FROM a\nFROM b\nCOPY --from=+0 / /", want: "a b +0"},
		"flags":                                               {text: "FROM --platform=linux/amd64 a AS b", want: "a"},
		"behind --":                                           {text: "FROM a\nCOPY -- --from=b /", want: "a b"},
		"ARG in a stage":                                      {text: "ARG B=b\nFROM a\nARG B=c\nFROM $B", want: "a b"},
		"ARG with a given value":                              {text: "ARG B=b\nFROM $B", args: map[string]string{"B": "c"}, want: "c"},
		"a value that is not declared":                        {text: "FROM ${B:-b}", args: map[string]string{"B": "c"}, want: "b"},
		"comments in continuations":                           {text: "FROM \\\n# x \\\n  \n a", want: "a"},
		"a lone escape":                                       {text: "\\\nFROM a", want: "a"},
		"escape":                                              {text: "#escape=`\nRUN x\\\nFROM a", want: "a"},
		"shell's here-strings":                                {text: "FROM a\nRUN cat <<<x", want: "a"},
		"continued by CRLF":                                   {text: "FROM \\\r\na\r\n", want: "a"},
		"labels":                                              {text: "FROM a\nLABEL a=moorgate.x b.moorgate.c=\"see moorgate\" moorgate=1", want: "a"},
		"order mark":                                          {text: "\xef\xbb\xbfFROM a", want: "a"},
	} {
		t.Run(name, func(t *testing.T) {
			asked, err := judged(c.text, c.args)
			if got := strings.Join(asked, " "); err != nil || got != c.want {
				t.Errorf("%q uses %s (%v), want %s", c.text, got, err, c.want)
			}
		})
	}
}

// What Engines of different age read differently, or what moorgate does not
// read as they do, has to be refused.
func TestBuildRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		args       map[string]string
	}{
		"ARG again, which takes the value away":   {text: "ARG B=a\nARG B\nFROM ${B:-evil}", want: "twice"},
		"ARG within another's quotes":             {text: "ARG A=\"x B=a y\"\nFROM ${B:-evil}", args: map[string]string{"A": ""}, want: "quotes"},
		"ARG behind an escaped space":             {text: "ARG A=x\\ B=a\nFROM ${B:-evil}", args: map[string]string{"A": ""}, want: "quotes"},
		"ARG with quotes around all":              {text: "ARG \"A=b\"\nFROM a", want: "letters"},
		"escape behind a directive that few know": {text: "# x=y\n# escape=`\nFROM a\nRUN true `\nFROM evil", want: "first line"},
		"escape twice":                            {text: "# escape=`\n# escape=\\\nFROM a", want: "first line"},
		"escape indented":                         {text: " # escape=`\nFROM a", want: "first line"},
		"escape and more":                         {text: "# escape=`x\nFROM a", want: "write"},
		"doubled escape":                          {text: "FROM a\nRUN x\\\\\nFROM b", want: "differently"},
		"odd space before a comment":              {text: "FROM a\\\n\u3000# x\n", want: "odd"},
		"odd space":                               {text: "FROM\u2003a", want: "odd"},
		"carriage return":                         {text: "FROM a\rFROM b", want: "odd"},
		"here-document with a number":             {text: "FROM a\nRUN cat <<1\nRUN x\n1\n", want: "here-document"},
		"here-document that ends in an escape":    {text: "FROM a\nRUN cat <<'1\\'\nRUN x \\\n1\\\nFROM evil", want: "here-document"},
		"here-document in ONBUILD":                {text: "FROM a\nONBUILD RUN 3<<-E\nE", want: "here-document"},
		"here-document after expansion":           {text: "FROM a\nRUN ${A:+x}<<E\nE", want: "here-document"},
		"platform with quotes":                    {text: "FROM --platform=\"x a\" evil", want: "quotes"},
		"platform with an escaped space":          {text: "FROM --platform=x\\ a as b", want: "quotes"},
		"unknown flag":                            {text: "FROM --x a", want: "not known"},
		"escaped brace":                           {text: "ARG U\nFROM ${U:+\\}a}", want: "quotes"},
		"nested variable":                         {text: "FROM ${A:-${B}}", want: "variable"},
		"single quotes around a variable":         {text: "ARG A='$B'\nFROM $A", want: "quotes"},
		"address with quotes":                     {text: "FROM a\nADD htt\"p:\"//169.254.169.254/ /", want: "quotes"},
		"address with single quotes in JSON":      {text: "FROM a\nADD [\"htt'p:'//169.254.169.254/\", \"/\"]", want: "quotes"},
		"address with escapes in JSON":            {text: `FROM a` + "\n" + `ADD ["http:\u002f/x", "/"]`, want: "escapes"},
		"address with backticks":                  {text: "# escape=`\nFROM a\nADD http`://x /", want: "escapes"},
		"address by variable":                     {text: "FROM a\nADD $A /", want: "variables"},
		"address in ONBUILD":                      {text: "FROM a\nONBUILD ADD http://x /", want: "fetch"},
		"quoted flag":                             {text: "FROM a\nRUN --mou\"nt\"=x y", want: "quotes"},
		"mount":                                   {text: "FROM a\nRUN --mount=from=evil x", want: "BuildKit"},
		"--from by variable":                      {text: "FROM a\nCOPY --from=$A / /", want: "variables"},
		"ONBUILD FROM":                            {text: "FROM a\nONBUILD FROM evil", want: "ONBUILD FROM"},
		"ONBUILD ONBUILD":                         {text: "FROM a\nONBUILD ONBUILD COPY --from=evil / /", want: "ONBUILD ONBUILD"},
		"unknown instruction":                     {text: "FROM a\nFR\u00d6M b", want: "no instruction"},
		"empty name":                              {text: "ARG A\nFROM $A", want: "empty"},
		"moorgate's label":                        {text: "FROM a\nLABEL moorgate.owner=bob", want: "moorgate alone"},
		"moorgate's label behind another":         {text: "FROM a\nLABEL a=b \\\n  moorgate.owner=bob", want: "moorgate alone"},
		"moorgate's label in quotes":              {text: "FROM a\nlabel \"moorgate.owner\"=bob", want: "moorgate alone"},
		"moorgate's label in parts":               {text: "FROM a\nLABEL moor'gate'.ow\\ner bob", want: "moorgate alone"},
		"moorgate's label in ONBUILD":             {text: "FROM a\nONBUILD LABEL moorgate.owner=bob", want: "moorgate alone"},
		"moorgate's label in an image's ONBUILD":  {text: "FROM labels", want: "ONBUILD of labels: label"},
		"syntax":                                  {text: "#syntax = evil\nFROM a", want: "syntax"},
	} {
		t.Run(name, func(t *testing.T) {
			if asked, err := judged(c.text, c.args); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: %v, want %s; asked about %s", c.text, err, c.want, asked)
			}
		})
	}
}

func TestBuildWhoseBaseIsReplacedWhileItGoesUp(t *testing.T) {
	ids := []string{"sha256:1", "sha256:2"}
	b := &build{
		dockerfile: defaultDockerfile, bases: map[string]string{},
		allow: func(string) error { return nil },
		base: func(string) (string, []string, error) {
			id := ids[0]
			ids = ids[1:]
			return id, nil, nil
		},
	}
	out, err := io.ReadAll(judgeBuild(archiveOf(t, map[string]string{"Dockerfile": "FROM a"}), b))
	if err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Error(err)
	}
	if bytes.HasSuffix(out, make([]byte, 1024)) {
		t.Error("the Engine was given the archive's end")
	}
}

func TestBuildArguments(t *testing.T) {
	call := callOf(t, "POST", `/build?buildargs={"A":"b","C":null}&dockerfile=../x/./Dockerfile`, "")
	b, no, err := newBuild(call)
	if no != nil || err != nil || b.dockerfile != "x/Dockerfile" || fmt.Sprint(b.args) != "map[A:b]" {
		t.Error(b, no, err)
	}
	if _, _, err := newBuild(callOf(t, "POST", `/build?buildargs={"A":"b","A":"c"}`, "")); err == nil {
		t.Error("an argument with two values passed")
	}
	if !slices.Contains(keywords, "FROM") {
		t.Error("no FROM")
	}
}
