package terminal

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// put writes text as a stream brings it.
func (s *scrollback) put(text []byte, stream byte) { s.add(text, stream, 0) }

// TestScrollback keeps what was written last, at the right offsets.
func TestScrollback(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	s := scrollback{keep: 50_000}
	var all []byte
	var kinds []byte
	for len(all) < 2_000_000 {
		piece := make([]byte, random.IntN(9000))
		stream := Stdout + byte(random.IntN(2))
		for i := range piece {
			piece[i] = byte(random.Uint32())
		}
		s.put(piece, stream)
		all = append(all, piece...)
		kinds = append(kinds, bytes.Repeat([]byte{stream}, len(piece))...)
		floor := uint64(noFloor)
		if random.IntN(2) == 0 {
			floor = s.start
		}
		before := s.start
		s.trim(floor)
		if floor == before && s.start != before {
			t.Fatalf("dropped up to %d, below the floor %d", s.start, floor)
		}
		if floor == noFloor && int(s.head-s.start) > s.keep+maxBlock || int(s.head-s.start) < min(len(all), s.keep) {
			t.Fatalf("%d bytes are kept of %d", s.head-s.start, len(all))
		}
		if s.head != uint64(len(all)) {
			t.Fatalf("head %d, want %d", s.head, len(all))
		}
		at := s.start + random.Uint64N(s.head-s.start+1)
		buf := make([]byte, random.IntN(5000)+1)
		n, stream := s.read(at, buf)
		if !bytes.Equal(buf[:n], all[at:][:n]) {
			t.Fatalf("other bytes at %d", at)
		}
		for i := range n {
			if kinds[at+uint64(i)] != stream {
				t.Fatalf("stream %d at %d, want %d", stream, at+uint64(i), kinds[at+uint64(i)])
			}
		}
		if n == 0 && at < s.head {
			t.Fatalf("nothing at %d, before the head %d", at, s.head)
		}
	}
	if n, _ := s.read(s.head, make([]byte, 1)); n != 0 {
		t.Error("something after the head")
	}
}

// TestScrollbackMarks bounds what alternating streams cost.
func TestScrollbackMarks(t *testing.T) {
	s := scrollback{keep: 1 << 20}
	for i := range 200_000 {
		s.put([]byte{'x'}, Stdout+byte(i%2))
		s.trim(noFloor)
	}
	if len(s.marks) > maxMarks+maxBlock {
		t.Errorf("%d marks", len(s.marks))
	}
}

// TestScrollbackIdle is small as long as there is little in it.
func TestScrollbackIdle(t *testing.T) {
	s := scrollback{keep: 256 << 10}
	s.put([]byte("$ "), Stdout)
	if c := cap(s.blocks[0]); len(s.blocks) != 1 || c > minBlock {
		t.Errorf("%d blocks, the first of %d bytes", len(s.blocks), c)
	}
}

// TestCut begins after lines, never amid characters or sequences.
func TestCut(t *testing.T) {
	for _, test := range []struct {
		text string
		at   uint64
		want uint64
	}{
		{"one\ntwo\nthree", 1, 4},
		{"one\ntwo\nthree", 4, 8},
		{"一二三", 1, 3},                // no line: after a character
		{"ab\x1b[38;5;12mcd", 4, 12}, // amid a sequence
		{"x\x1b]2;a title\x07y", 5, 13},
		{"x\x1b]2;a\ntitle\x07y\nz", 3, 15},
		{"x\x1b[?1049hscreen\nmore", 11, 11}, // the alternate screen has no lines
	} {
		s := scrollback{keep: 1 << 20}
		s.put([]byte(test.text), Stdout)
		if got, _ := s.cut(test.at); got != test.want {
			t.Errorf("%q from %d: cut at %d, want %d", test.text, test.at, got, test.want)
		}
	}
}

// TestCutModes gives the modes at the cut, as if all before had been seen.
func TestCutModes(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	pieces := []string{"text", "\n", "中文", "\x1b[1;31m", "\x1b[0m", "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25l", "\x1b[?2004h", "\x1b]0;title\x07", "\x1b(0", "\x0e", "\x0f", "\x1b[5;20r", "\x1b=", "\x1bc"}
	for range 50 {
		var all []byte
		for range 3000 {
			all = append(all, pieces[random.IntN(len(pieces))]...)
		}
		s := scrollback{keep: 4 << 10}
		s.put(all, Stdout)
		s.trim(noFloor)
		if s.start == 0 {
			t.Fatal("nothing was dropped")
		}
		at, got := s.cut(s.start + random.Uint64N(2000))
		var want modes
		want.feed(all[:at])
		if !want.boundary() || !bytes.Equal(got.restore(), want.restore()) {
			t.Fatalf("cut at %d: %q, want %q", at, got.restore(), want.restore())
		}
	}
}

func TestModes(t *testing.T) {
	for _, test := range []struct{ name, text, has, lacks string }{
		{"nothing", "plain text", "\x1b[!p", "\x1b[?1049h"},
		{"vi", "\x1b[?1049h\x1b[?1h\x1b=\x1b[1;24r\x1b[?25l", "\x1b[?1049h|\x1b[?1h|\x1b=|\x1b[1;24r|\x1b[?25l", ""},
		{"vi ended", "\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l", "\x1b[?1049l|\x1b[?25h", "\x1b[?1049h"},
		{"mouse", "\x1b[?1000h\x1b[?1002;1006h", "\x1b[?1002h|\x1b[?1006h", "\x1b[?1000h"},
		{"paste", "\x1b[?2004h", "\x1b[?2004h", ""},
		{"colours", "\x1b[1;4;38;5;12;48:2::1:2:3m", "\x1b[0;1;4;38;5;12;48:2::1:2:3m", ""},
		{"colours ended", "\x1b[1;31m\x1b[22;39m", "\x1b[0m", ""},
		{"a colour amid others", "\x1b[1;38;5;12;4m", "\x1b[0;1;4;38;5;12m", ""},
		{"true colour", "\x1b[48;2;1;2;3;7m", "\x1b[0;7;48;2;1;2;3m", ""},
		{"a colour cut off", "\x1b[1;38;2;1;2m", "\x1b[0;1m", ""},
		{"no parameters", "\x1b[1m\x1b[m", "\x1b[0m", ""},
		{"an empty one", "\x1b[1;;4m", "\x1b[0;4m", ""},
		{"not colours", "\x1b[>4;2m\x1b[?4m", "\x1b[0m", ""},
		{"charset", "\x1b(0\x0e", "\x1b(0|\x0e", ""},
		{"title", "\x1b]2;a \x1b\\", "\x1b]2;a \x07", ""},
		{"title in C1", "\u009d0;täst\u009c", "\x1b]2;täst\x07", ""},
		{"no title", "\x1b]52;c;AAAA\x07", "", "]52"},
		{"alternate in C1", "\u009b?1049h", "\x1b[?1049h", ""},
		{"reset", "\x1b[?1049h\x1b[1m\x1bc", "\x1b[0m|\x1b[?1049l", "\x1b[?1049h"},
		{"soft reset", "\x1b[?1049h\x1b[1;31m\x1b[?25l\x1b[!p", "\x1b[0m|\x1b[?1049h|\x1b[?25h", ""},
		{"cancelled", "\x1b[?1049\x18h", "", "\x1b[?1049h"},
		{"cursor", "\x1b[5 q", "\x1b[5 q", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var m modes
			m.feed([]byte(test.text))
			got := string(m.restore())
			for has := range strings.SplitSeq(test.has, "|") {
				if !strings.Contains(got, has) {
					t.Errorf("%q lacks %q", got, has)
				}
			}
			if test.lacks != "" && strings.Contains(got, test.lacks) {
				t.Errorf("%q has %q", got, test.lacks)
			}
		})
	}
}

// FuzzModes checks that what restores a terminal's modes does so, that output
// may come in any pieces, and that the modes stay small.
func FuzzModes(f *testing.F) {
	f.Add([]byte("\x1b[?1049h\x1b[1;38;5;300m\x1b]0;t\x07\x1b(0\x0e"), 3)
	f.Add([]byte("\u009b?25l\u009d2;x\u009c\x1bP+q\x1b\\"), 1)
	f.Add([]byte("\x1b[38:2::1:2:3;4:3m\x1b[5;r\xc2\x1b\xc2\xc2\x9b?7l"), 2)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		var whole, parts, restored modes
		whole.feed(text)
		at = min(max(at, 0), len(text))
		parts.feed(text[:at])
		clone := parts.clone()
		clone.feed(text[at:])
		parts.feed(text[at:])
		want := string(whole.restore())
		if got := string(parts.restore()); got != want {
			t.Fatalf("in two parts %q, want %q", got, want)
		}
		if got := string(clone.restore()); got != want {
			t.Fatalf("cloned %q, want %q", got, want)
		}
		if whole.state != parts.state || whole.tail != parts.tail {
			t.Fatalf("in two parts state %d and tail %d, want %d and %d", parts.state, parts.tail, whole.state, whole.tail)
		}
		restored.feed([]byte("\x1b[?1000;1006;25l\x1b[7m\x1b)0" + want))
		if got := string(restored.restore()); got != want {
			t.Fatalf("restored %q, want %q", got, want)
		}
		if !restored.boundary() {
			t.Fatal("restoring ends amid a sequence")
		}
		if len(want) > 2048 || len(whole.body) > maxEscapeBody {
			t.Fatalf("%d bytes restore the modes", len(want))
		}
	})
}

func BenchmarkModes(b *testing.B) {
	for name, text := range map[string]string{
		"plain":  strings.Repeat("0123456789012345678901234567890123456789\r\n", 1000),
		"colour": strings.Repeat("\x1b[01;34mfolder\x1b[0m  \x1b[32mfile\x1b[0m\r\n", 1000),
		"中文":     strings.Repeat("床前明月光，疑是地上霜\r\n", 1000),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var m modes
			for b.Loop() {
				m.feed([]byte(text))
			}
		})
	}
}
