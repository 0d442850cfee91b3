package terminal

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestCastEvents writes text that comes in any pieces as valid UTF-8.
func TestCastEvents(t *testing.T) {
	began := time.Unix(1000, 0)
	for _, test := range []struct {
		name   string
		crlf   bool
		pieces []string
		want   string
	}{
		{"plain", false, []string{"a", "b\r\n"}, "ab\r\n"},
		{"quotes", false, []string{"\"\\\x1b[0m\x00\x7f"}, "\"\\\x1b[0m\x00\x7f"},
		{"characters in parts", false, []string{"\xe4", "\xb8", "\xad\xe6\x96", "\x87\xf0\x9f", "\x98\x80"}, "中文😀"},
		{"broken", false, []string{"a\xffb\xe4", "x"}, "a\ufffdb\ufffdx"},
		{"an end amid a character", false, []string{"a\xe4\xb8"}, "a\ufffd"},
		{"no terminal", true, []string{"a\nb\r", "\nc\n"}, "a\r\nb\r\nc\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := cast{began: began, crlf: test.crlf}
			var file []byte
			for i, p := range test.pieces {
				file = c.event(file, began.Add(time.Duration(i)*time.Second), castOutput, []byte(p))
			}
			file = c.rest(file, began)
			if !utf8.Valid(file) {
				t.Errorf("%q is no UTF-8", file)
			}
			var got strings.Builder
			for line := range strings.Lines(string(file)) {
				var event []any
				if err := json.Unmarshal([]byte(line), &event); err != nil || len(event) != 3 || event[1] != "o" {
					t.Fatalf("%q: %v", line, err)
				}
				got.WriteString(event[2].(string))
			}
			if got.String() != test.want {
				t.Errorf("%q, want %q", got.String(), test.want)
			}
		})
	}
}

// TestCastStreams keeps what is typed and what is printed apart.
func TestCastStreams(t *testing.T) {
	began := time.Unix(1000, 0)
	c := cast{began: began}
	file := c.header(cells{80, 24}, "a title")
	file = c.event(file, began, castOutput, []byte("\xe4"))
	file = c.event(file, began.Add(1500*time.Millisecond), castInput, []byte("x"))
	file = c.event(file, began.Add(2*time.Second), castOutput, []byte("\xb8\xad"))
	file = c.resize(file, began.Add(3*time.Second), cells{100, 50})
	want := `{"version":2,"width":80,"height":24,"timestamp":1000,"title":"a title","env":{"TERM":"xterm-256color"}}
[1.500000, "i", "x"]
[2.000000, "o", "中"]
[3.000000, "r", "100x50"]
`
	if string(file) != want {
		t.Errorf("%s, want %s", file, want)
	}
}

func FuzzCast(f *testing.F) {
	f.Add([]byte("a\xe4\xb8\xad\n\x1b\"\\"), 2)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		c := cast{crlf: at%2 == 0}
		at = min(max(at, 0), len(text))
		file := c.event(nil, time.Time{}, castOutput, text[:at])
		file = c.event(file, time.Time{}, castOutput, text[at:])
		file = c.rest(file, time.Time{})
		var got strings.Builder
		for line := range bytes.Lines(file) {
			_, _, out, err := parseCastEvent(line)
			if err != nil || !utf8.Valid(line) {
				t.Fatalf("%q: %v", line, err)
			}
			got.WriteString(out)
		}
		// What is no character becomes U+FFFD, one or some of them in a row.
		broken := regexp.MustCompile("\ufffd+")
		want := broken.ReplaceAllString(string([]rune(string(text))), "?")
		if got := broken.ReplaceAllString(got.String(), "?"); !c.crlf && got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

func recording(events ...string) string {
	return `{"version": 2, "width": 80, "height": 24}` + "\n" + strings.Join(events, "\n") + "\n"
}

func TestPlay(t *testing.T) {
	for _, test := range []struct{ name, file, want, fault string }{
		{"plain", recording(`[0.1, "o", "a"]`, `[0.2, "i", "typed"]`, `[0.3, "r", "100x50"]`, `[0.4, "o", "b"]`), "ab", ""},
		{"times that go back", recording(`[9, "o", "a"]`, `[1, "o", "b"]`), "ab", ""},
		{"cut off", strings.TrimSuffix(recording(`[0.1, "o", "a"]`, `[0.2, "o", "b`), "\n"), "a", ""},
		{"broken amid", recording(`[0.1, "o", "a"]`, `[0.2`, `[0.3, "o", "b"]`), "a", "line 3"},
		{"only a header", recording(), "", ""},
		{"version 3", `{"version": 3}` + "\n", "", "version 3"},
		{"no recording", "hello\n", "", "no recording"},
		{"empty", "", "", "header"},
		{"queries", recording(`[0, "o", "a\u001b[6nb\u001b[c\u0005c\u001bZd\u001b]10;?\u0007e\u001bP+q544e\u001b\\f\u001b[?1$pg"]`), "abcde\x1b\\f\x1b\\g", ""},
		{"clipboard", recording(`[0, "o", "a\u001b]52;c;AAAA\u0007b"]`, `[1, "o", "\u009d52;c;AAAA\u009cc"]`), "abc", ""},
		{"clipboard in parts", recording(`[0, "o", "a\u001b]5"]`, `[1, "o", "2;c;AA\u001b\\b"]`), "a\x1b\\b", ""},
		{"colours stay", recording(`[0, "o", "\u001b[1;31mred\u001b[0m 中文\u001b]0;title\u0007"]`), "\x1b[1;31mred\x1b[0m 中文\x1b]0;title\x07", ""},
		{"window", recording(`[0, "o", "a\u001b[8;50;200tb\u001b[5ic"]`), "abc", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			err := Play(context.Background(), strings.NewReader(test.file), &out, PlayOptions{Speed: 1000})
			if test.fault == "" && err != nil || test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)) {
				t.Errorf("error %v, want %q", err, test.fault)
			}
			if got := strings.ReplaceAll(out.String(), "\x1b\\", ""); got != strings.ReplaceAll(test.want, "\x1b\\", "") {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// TestPlayResets leaves the terminal as it should be, also when interrupted.
func TestPlayResets(t *testing.T) {
	for _, text := range []string{`\u001b[?1049h\u001b[?25l`, `\u001b[?1003h`, `\u001b[31m`} {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		var out bytes.Buffer
		err := Play(ctx, strings.NewReader(recording(`[0, "o", "`+text+`"]`, `[1000, "o", "never"]`)), &out, PlayOptions{})
		if err != context.DeadlineExceeded || strings.Contains(out.String(), "never") {
			t.Errorf("error %v, output %q", err, out.String())
		}
		var m modes
		m.feed(out.Bytes())
		if got, want := string(m.restore()), string((&modes{}).restore()); got != want {
			t.Errorf("left as %q, want %q", got, want)
		}
	}
}

// TestPlayPace plays at the recording's times, shortened as asked.
func TestPlayPace(t *testing.T) {
	file := recording(`[0, "o", "a"]`, `[0.2, "o", "b"]`, `[100, "o", "c"]`)
	began := time.Now()
	if err := Play(context.Background(), strings.NewReader(file), new(bytes.Buffer), PlayOptions{Speed: 2, Idle: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 250*time.Millisecond || took > 20*time.Second {
		t.Errorf("took %v, want 0.25 s", took)
	}
	for _, speed := range []float64{-1, math.NaN(), math.Inf(1)} {
		if err := Play(context.Background(), strings.NewReader(file), new(bytes.Buffer), PlayOptions{Speed: speed}); err == nil {
			t.Errorf("speed %v was taken", speed)
		}
	}
}

// FuzzCastFilter looks for sequences that come through in some disguise.
func FuzzCastFilter(f *testing.F) {
	f.Add([]byte("a\x1b]52;c;AAAA\x07b\x1b[6n"), 4)
	f.Add([]byte("\xc2\x9d52;c;x\xc2\x9c\xc2\x9b6n"), 1)
	f.Add([]byte("\x1b\x1b]\x18\x1b[\x1b]52;x\x1b\\"), 2)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		text = bytes.ToValidUTF8(text, nil) // as in a recording
		at = min(max(at, 0), len(text))
		var filter castFilter
		out := filter.filter(nil, text[:at])
		out = filter.filter(out, text[at:])
		if bytes.IndexByte(out, 0x05) >= 0 && filter.state == escGround && bytes.IndexByte(text, 0x1b) < 0 {
			t.Fatalf("ENQ in %q", out)
		}
		var again castFilter // what it lets through is harmless in the eyes of another parse
		if twice := again.filter(nil, out); !bytes.Equal(twice, out) && again.state == escGround {
			t.Fatalf("%q becomes %q", out, twice)
		}
		var seen escapes
		for _, c := range out {
			switch seen.step(c) {
			case evCSI:
				if bytes.IndexByte([]byte("cntxpiy"), c) >= 0 && !(c == 'p' && seen.inter == '!') {
					t.Fatalf("CSI %q%q%q%c in %q", seen.prefix, seen.body, seen.inter, c, out)
				}
			case evOSC:
				if bytes.HasPrefix(seen.body, []byte("52")) {
					t.Fatalf("OSC %q in %q", seen.body, out)
				}
			case evString:
				t.Fatalf("a string in %q", out)
			}
		}
	})
}
