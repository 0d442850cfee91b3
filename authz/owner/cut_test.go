package owner

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// tagged keeps objects whose "k" is true, and everything that is no object.
func tagged(v value) ([]byte, error) {
	if v.raw[0] != '{' {
		return v.raw, nil
	}
	f, err := v.pick("k")
	if err != nil || string(f[0]) != "true" {
		return nil, err
	}
	return v.raw, nil
}

func listOf(judge func(value) ([]byte, error)) *shape { return &shape{each: &shape{judge: judge}} }

// readers give the same bytes in different pieces.
var readers = map[string]func(io.Reader) io.Reader{
	"whole":       func(r io.Reader) io.Reader { return r },
	"bytes":       iotest.OneByteReader,
	"halves":      iotest.HalfReader,
	"end at once": iotest.DataErrReader,
}

func TestCut(t *testing.T) {
	tree := &shape{
		members: map[string]*shape{
			"Items":  listOf(tagged),
			"Plain":  {},
			"Gone":   dropped,
			"Nested": {members: map[string]*shape{"Items": listOf(tagged)}, end: func() string { return `"n":2` }},
		},
		end: func() string { return `"n":1` },
	}
	tests := []struct {
		name     string
		shape    *shape
		lines    bool
		in, want string
		fault    string // part of the error; "" for none
	}{
		{"kept byte for byte", listOf(tagged), false, "[ {\"k\": true ,\"x\":\"\\u00e9\\\"]\"} ]\n", "[{\"k\": true ,\"x\":\"\\u00e9\\\"]\"}]\n", ""},
		{"left out", listOf(tagged), false, `[{"k":false},{"k":true,"n":1},{},{"k":true,"n":2},{"a":[{"k":true}]}]`, `[{"k":true,"n":1},{"k":true,"n":2}]` + "\n", ""},
		{"empty", listOf(tagged), false, "[]\n", "[]\n", ""},
		{"null", listOf(tagged), false, "null\n", "null\n", ""},
		{"scalars", listOf(tagged), false, `[1,-0.5e+3,"a",true,null,[{"k":false}]]`, `[1,-0.5e+3,"a",true,null,[{"k":false}]]` + "\n", ""},
		{"an object", tree, false, `{"Items":[{"k":true},{}],"Plain":{"a":1},"Gone":[1,2],"Unknown":[{"k":true}],"Nested":{"Secret":1,"Items":[{}]}}`,
			`{"Items":[{"k":true}],"Plain":{"a":1},"Nested":{"Items":[],"n":2},"n":1}` + "\n", ""},
		{"nothing is kept", tree, false, `{"x":1}`, `{"n":1}` + "\n", ""},
		{"nulls", tree, false, `{"Items":null,"Nested":null,"Gone":null}`, `{"Items":null,"Nested":null,"n":1}` + "\n", ""},
		{"an escaped key", tree, false, `{"It\u0065ms":[{}]}`, `{"It\u0065ms":[],"n":1}` + "\n", ""},
		{"lines", &shape{judge: tagged}, true, "{\"k\":true}\n{}\r\n{\"k\":true,\"n\":2}", "{\"k\":true}\n{\"k\":true,\"n\":2}\n", ""},
		{"records", &shape{judge: tagged}, true, "\x1e{\"k\":true}\n\x1e{}\n\x1e{\"k\":true,\"n\":2}\n", "\x1e{\"k\":true}\n\x1e{\"k\":true,\"n\":2}\n", ""},
		{"no lines", &shape{judge: tagged}, true, "", "", ""},

		{"another shape", listOf(tagged), false, `{"k":true}`, "", "stands where it cannot"},
		{"a string for a list", tree, false, `{"Items":"secret"}`, "{", "stands where it cannot"},
		{"cut off", listOf(tagged), false, `[{"k":true},{"k":tr`, `[{"k":true}`, "unexpected EOF"},
		{"cut off between", listOf(tagged), false, `[{"k":true},`, `[{"k":true}`, "unexpected EOF"},
		{"nothing at all", listOf(tagged), false, ``, ``, "unexpected EOF"},
		{"a line cut off", &shape{judge: tagged}, true, "{\"k\":true}\n{\"k\":true", "{\"k\":true}\n", "unexpected EOF"},
		{"more behind it", listOf(tagged), false, `[{"k":true}] {"k":true}`, `[{"k":true}]` + "\n", "something follows"},
		{"a comma too many", listOf(tagged), false, `[{"k":true},]`, `[{"k":true}`, "stands where it cannot"},
		{"a comma first", listOf(tagged), false, `[,{"k":true}]`, `[`, "stands where it cannot"},
		{"no comma", listOf(tagged), false, `[{"k":true}{"k":true}]`, `[{"k":true}`, "stands where it cannot"},
		{"a control character", listOf(tagged), false, "[{\"k\":true,\"a\":\"\n\"}]", "[", "stands where it cannot"},
		{"two keys", listOf(tagged), false, `[{"k":true,"k":false}]`, "[", "two k"},
		{"two keys, one escaped", listOf(tagged), false, `[{"k":true,"\u006b":false}]`, "[", "two k"},
		{"too deep", listOf(tagged), false, "[" + strings.Repeat("[", 70) + strings.Repeat("]", 70) + "]", "[", "levels"},
		{"too long", listOf(tagged), false, `[{"k":true,"x":"` + strings.Repeat("x", maxElement) + `"}]`, "[", "longer than"},
		{"a key too long", tree, false, `{"` + strings.Repeat("x", maxElement) + `":1}`, "{", "longer than"},
	}
	for _, test := range tests {
		for name, pieces := range readers {
			if len(test.in) > 1<<20 && name != "whole" && name != "halves" {
				continue
			}
			c := cut(io.NopCloser(pieces(strings.NewReader(test.in))), test.shape)
			c.lines = test.lines
			got, err := io.ReadAll(c)
			if string(got) != test.want {
				t.Errorf("%s, %s: got %q, want %q", test.name, name, clipped(got), test.want)
			}
			if (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
				t.Errorf("%s, %s: error %v, want %q", test.name, name, err, test.fault)
			}
			if _, again := c.Read(make([]byte, 1)); again == nil || err == nil && again != io.EOF {
				t.Errorf("%s, %s: read on: %v", test.name, name, again)
			}
		}
	}
}

func clipped(b []byte) []byte { return b[:min(len(b), 200)] }

// An element is handed out when its last byte has come, not when more does.
func TestCutWaitsForNothing(t *testing.T) {
	r, w := io.Pipe()
	c := cutLines(r, func() *shape { return &shape{judge: tagged} })
	lines := make(chan string)
	go func() {
		p := make([]byte, 1024)
		for {
			n, err := c.Read(p)
			if err != nil {
				close(lines)
				return
			}
			lines <- string(p[:n])
		}
	}()
	for _, piece := range []string{`{"k":tr`, `ue,"n":1}`} {
		_, _ = io.WriteString(w, piece)
	}
	if got := <-lines; got != "{\"k\":true,\"n\":1}\n" {
		t.Errorf("got %q", got)
	}
	_, _ = io.WriteString(w, "\n{}\n{\"k\":true,\"n\":2}")
	if got := <-lines; got != "{\"k\":true,\"n\":2}\n" {
		t.Errorf("got %q", got)
	}
	w.Close()
	if _, more := <-lines; more {
		t.Error("something came after the end")
	}
}

// However long the list is, no more than one element is held.
func TestCutHoldsOneElement(t *testing.T) {
	element := `{"k":false,"x":"` + strings.Repeat("x", 60<<10) + `"},`
	in := io.MultiReader(strings.NewReader("["), io.LimitReader(&repeat{text: element}, int64(len(element))*500), strings.NewReader(`{"k":true}]`))
	c := cut(io.NopCloser(in), listOf(tagged))
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "[{\"k\":true}]\n" {
		t.Errorf("got %q, %v", clipped(got), err)
	}
	if len(c.buf) > 256<<10 || cap(c.out) > 256<<10 {
		t.Errorf("%d and %d bytes are held of elements of %d", len(c.buf), cap(c.out), len(element))
	}
}

// repeat is a text without an end.
type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// An error of the judge, or of the Engine, breaks the answer off.
func TestCutBreaksOff(t *testing.T) {
	fault := errors.New("away")
	c := cut(io.NopCloser(strings.NewReader(`[1,2,3]`)), listOf(func(v value) ([]byte, error) {
		if v.raw[0] == '2' {
			return nil, fault
		}
		return v.raw, nil
	}))
	if got, err := io.ReadAll(c); string(got) != "[1" || !errors.Is(err, fault) {
		t.Errorf("got %q, %v", got, err)
	}
	c = cut(io.NopCloser(io.MultiReader(strings.NewReader(`[1,`), iotest.ErrReader(fault))), listOf(tagged))
	if got, err := io.ReadAll(c); string(got) != "[1" || !errors.Is(err, fault) {
		t.Errorf("got %q, %v", got, err)
	}
}

// A reader that gives nothing for ever is given up.
func TestCutGivesUp(t *testing.T) {
	for _, text := range []string{"", "[", `[{"k":true},`, `[{"k"`} {
		c := cut(io.NopCloser(io.MultiReader(strings.NewReader(text), nothing{})), listOf(tagged))
		if _, err := io.ReadAll(c); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// FuzzCut holds the cutter against encoding/json: what one takes for a list the
// other does, and both see the same elements.
func FuzzCut(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[{"k":true}]`, `[{"k":true,"a":"\ud800\u0041"},{"k":false},1,-0.1e5,"x"]`, `[{"k":tru}]`, `[1 2]`, `[01]`, `[1.]`, `[-]`, `[1e]`,
		`[{"a":{"k":true}}]`, `[{"\u006b":true}]`, "[\"\x00\"]", `[{"k":true},]`, `null`, `{}`, `[{,}]`, `[{"a"}]`, `[[[]]]`, `["\x"]`, "\ufeff[]", `[{"k":true}]]`,
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		var elements []json.RawMessage
		valid := json.Unmarshal(in, &elements) == nil
		got, err := io.ReadAll(cut(io.NopCloser(&pieces{in, int(piece)%64 + 1}), listOf(tagged)))
		if valid != (err == nil) {
			if valid && (strings.Contains(err.Error(), "levels") || strings.Contains(err.Error(), "two k")) {
				return
			}
			t.Fatalf("%q: encoding/json says %v, the cutter %v", in, valid, err)
		}
		if !valid {
			return
		}
		want := []json.RawMessage{}
		for _, e := range elements {
			var o map[string]json.RawMessage
			if e[0] == '{' && (json.Unmarshal(e, &o) != nil || string(o["k"]) != "true") {
				continue
			}
			want = append(want, e)
		}
		var seen []json.RawMessage
		if err := json.Unmarshal(got, &seen); err != nil {
			t.Fatalf("%q becomes %q: %v", in, got, err)
		}
		if len(seen) != len(want) {
			t.Fatalf("%q becomes %q, want %q", in, got, want)
		}
		for i := range seen {
			if !bytes.Equal(seen[i], want[i]) {
				t.Fatalf("%q becomes %q, want %q", in, got, want)
			}
		}
	})
}

// pieces gives a text in pieces of one length.
type pieces struct {
	text []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.text)
	p.text = p.text[n:]
	return n, nil
}

// FuzzQuick holds the reading in one pass against the scanner: what it takes the
// scanner takes to the same end, and both find the same members.
func FuzzQuick(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"b":[{"a":2},[],{}],"c":"x\"}"} `, `{ "a" : { "b" : -0.5e+3 } , "\u0061" : null }`, `"\ud800" `, `[1,2,01]`, `-`, `1 `, `1`, `truefalse`, `[1.e5]`,
		`{"a":1,"a":2}`, `{"a":tru}`, "{\"a\":\"\x01\"}", `["\x"]`, `[1,]`, `{"a":1,}`, `{"a"}`, `[1E-2,1e]`, "\xff", "[\"\xff\"]", strings.Repeat("[", 70),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		in = bytes.TrimLeft(in, " \n\t\r")
		var q quick
		end := q.read(in)
		var s scanner
		n, whole, err := s.scan(in)
		if end == 0 {
			if json.Valid(in) && bytes.IndexByte([]byte(`{["`), in[0]) >= 0 && len(in) < 64 && !bytes.ContainsRune(in, '\\') {
				t.Fatalf("%q is left out, though nothing in it is unusual", in)
			}
			return
		}
		if err != nil || !whole || n != end || !json.Valid(in[:end]) {
			t.Fatalf("%q: read up to %d; the scanner up to %d, %v, %v", in, end, n, whole, err)
		}
		v := value{in[:end], q.places}
		found, err := v.pick("a", "b", "")
		want, wrong := pick(in[:end], "a", "b", "")
		if (err == nil) != (wrong == nil) {
			t.Fatalf("%q: %v and %v", in, err, wrong)
		}
		for i := range want {
			if err == nil && !bytes.Equal(found[i], want[i]) {
				t.Fatalf("%q: %q and %q", in, found[i], want[i])
			}
		}
	})
}

// FuzzPick holds the reading of single objects against encoding/json.
func FuzzPick(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1,"b":[{"a":2}],"c":"x\"}"}`, `{ "a" : { "moorgate.owner" : "x" } , "\u0062" : null }`, `{"a":{"moorgate\u002eowner":"y"}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		in = bytes.TrimSpace(in)
		var want map[string]json.RawMessage
		if len(in) == 0 || in[0] != '{' || json.Unmarshal(in, &want) != nil {
			return
		}
		n := 0
		for key, value := range members(in) {
			name, err := text(key)
			if err != nil || !json.Valid(value) {
				t.Fatalf("%q: member %q: %q, %v", in, key, value, err)
			}
			if _, ok := want[name]; !ok {
				t.Fatalf("%q: encoding/json has no member %q", in, name)
			}
			n++
		}
		if n < len(want) {
			t.Fatalf("%q: %d members, want %d", in, n, len(want))
		}
		found, err := pick(in, "a", "b")
		if err != nil {
			return
		}
		for i, name := range []string{"a", "b"} {
			if !bytes.Equal(found[i], want[name]) {
				t.Fatalf("%q: %s is %q, want %q", in, name, found[i], want[name])
			}
		}
		labels, err := reserved(in)
		if err != nil {
			return
		}
		for name, raw := range want {
			var value string
			if strings.HasPrefix(name, Reserved) && json.Unmarshal(raw, &value) == nil && labels[name] != value {
				t.Fatalf("%q: label %q is %q, want %q", in, name, labels[name], value)
			}
		}
		for name, raw := range want {
			var value string
			if json.Unmarshal(raw, &value) == nil && raw[0] == '"' && utf8.Valid(in) && !says(in, name, value) {
				t.Fatalf("%q: does not say that %q is %q", in, name, value)
			}
		}
		same, err := edit(in, nil)
		if err != nil || !json.Valid(same) {
			t.Fatalf("%q: %q, %v", in, same, err)
		}
	})
}

// waiting is a body that tells when more has come, piece by piece.
type waiting struct {
	io.Reader
	pieces []string
	waits  func()
}

func (w *waiting) Close() error { return nil }

func (w *waiting) Wait() error {
	w.waits()
	if len(w.pieces) == 0 {
		return io.EOF
	}
	return nil
}

func (w *waiting) Read(p []byte) (int, error) {
	if len(w.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.pieces[0])
	if w.pieces[0] = w.pieces[0][n:]; w.pieces[0] == "" {
		w.pieces = w.pieces[1:]
	}
	return n, nil
}

// TestCutRests: who waits for the next event holds no buffer, and what is seen is
// the same however it comes.
func TestCutRests(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", 3*lineSize) + `"}`
	lines := []string{`{"a":1}`, `{"b":2}`, long, "\x1e" + `{"c":3}`, `{"a":4}`}
	judge := func(v value) ([]byte, error) {
		if bytes.Contains(v.raw, []byte(`"b"`)) {
			return nil, nil
		}
		return v.raw, nil
	}
	want := strings.Join(slices.Delete(slices.Clone(lines), 1, 2), "\n") + "\n"
	text := strings.Join(lines, "\n") + "\n"
	for _, size := range []int{1, 7, lineSize - 1, lineSize, len(text)} {
		w := &waiting{}
		for piece := range slices.Chunk([]byte(text), size) {
			w.pieces = append(w.pieces, string(piece))
		}
		c := cutLines(w, func() *shape { return &shape{judge: judge} })
		waits := 0
		w.waits = func() {
			if waits++; c.cutter != nil {
				t.Errorf("by %d: %d and %d bytes are held while waiting", size, cap(c.cutter.buf), cap(c.cutter.out))
			}
		}
		var got []byte
		var err error
		for err == nil {
			var piece []byte
			piece, err = c.Next()
			got = append(got, piece...)
		}
		if err != io.EOF || string(got) != want || waits == 0 {
			t.Errorf("by %d: %v after %d waits, %d bytes, want %d: %.100q", size, err, waits, len(got), len(want), got)
		}
		c.Close()
	}
}
