package terminal

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestTextCut cuts a text at every place, and no character is lost.
func TestTextCut(t *testing.T) {
	text := "aé終𝔘\r\n" + strings.Repeat("終わり😀", 20)
	for size := 1; size < 12; size++ {
		var cut textCut
		var got []byte
		for piece := range slices.Chunk([]byte(text), size) {
			out := cut.Next(piece)
			if !utf8.Valid(out) {
				t.Fatalf("pieces of %d: %q is no text", size, out)
			}
			got = append(got, out...)
		}
		got = append(got, cut.Rest()...)
		if string(got) != text {
			t.Errorf("pieces of %d: got %q", size, got)
		}
	}
	for in, want := range map[string]string{
		"a\xffb":     "a\ufffdb",
		"a\xe7\xb5":  "a\ufffd", // cut for ever
		"\xed\xa0x":  "\ufffdx",
		"\x80":       "\ufffd",
		"\xf0\x9d":   "\ufffd",
		"\x1b[31m\a": "\x1b[31m\a",
	} {
		var cut textCut
		if got := string(cut.Next([]byte(in))) + string(cut.Rest()); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzTextCut(f *testing.F) {
	f.Add([]byte("終\xe7\xb5"), 1)
	f.Fuzz(func(t *testing.T, p []byte, size int) {
		var cut textCut
		var got []byte
		for piece := range slices.Chunk(p, 1+size&7) {
			out := cut.Next(piece)
			if !utf8.Valid(out) {
				t.Fatalf("%q is no text", out)
			}
			got = append(got, out...)
		}
		got = append(got, cut.Rest()...)
		if utf8.Valid(p) && !bytes.Equal(got, p) {
			t.Fatalf("%q became %q", p, got)
		}
	})
}

func TestSplitCommand(t *testing.T) {
	tests := []struct {
		line string
		want []string
	}{
		{"", nil},
		{"  ", nil},
		{"sh", []string{"sh"}},
		{" ls  -l\t/ ", []string{"ls", "-l", "/"}},
		{`sh -c 'echo "a b"; exit 3'`, []string{"sh", "-c", `echo "a b"; exit 3`}},
		{`sh -c "echo \"a\" \$x"`, []string{"sh", "-c", `echo "a" \$x`}},
		{`a\ b ''`, []string{"a b", ""}},
		{`x'y'"z"`, []string{"xyz"}},
	}
	for _, test := range tests {
		got, err := splitCommand(test.line)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, %v, want %q", test.line, got, err, test.want)
		}
	}
	for _, line := range []string{`"`, `a 'b`, `a\`} {
		if got, err := splitCommand(line); err == nil {
			t.Errorf("%q became %q", line, got)
		}
	}
}
