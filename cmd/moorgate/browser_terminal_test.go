package main

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// shell opens one in a container of alice's, from the list.
func (p *page) shell(container string) {
	p.t.Helper()
	p.click(`[data-test="container"]`, container)
	p.see(`[data-test="container-head"] h1`, container)
	p.click(`[data-test="open-shell"]`, "")
	p.see(`[data-phase="live"]`, "")
	p.shows(`^/ #`)
}

// holds is an expression for what the terminal that is seen is asked.
func holds(terminal string) string { return shownTerminal + "?." + terminal }

func browseShell(t *testing.T, s *site) {
	name := unique("shell")
	s.run(t, name, "exec sleep 600")
	p := s.visit(t, s.alice)
	p.shell(name)
	p.keys("echo $((6*7)) \"typed\"\n")
	p.shows(`^42 typed$`)

	// Chinese, straight and by an input method; two cells each.
	p.keys("echo here is cat; cat\n")
	p.shows(`^here is cat$`) // what is typed before is the shell's, which takes Enter otherwise
	p.insert("窗口 émigré 😀")
	p.press("Enter")
	p.shows(`^窗口 émigré 😀\n窗口 émigré 😀$`)
	p.compose("zhongwen", "中文")
	p.press("Enter")
	p.shows(`^中文\n中文$`)
	p.press("Control+d")
	p.shows(`^/ #$`)
	p.shot("typed")

	// The size follows the window's, and vi fills it.
	size := regexp.MustCompile(`\d+`)
	stty := func(word string) string {
		p.keys("echo " + word + ": $(stty size)\n")
		return fmt.Sprint(size.FindAllString(p.shows(`^`+word+`: \d+ \d+$`), -1))
	}
	shown := func() string {
		var rows, cols int
		p.ask(holds("emulator.xterm.rows"), &rows)
		p.ask(holds("emulator.xterm.cols"), &cols)
		return fmt.Sprintf("[%d %d]", rows, cols)
	}
	before := stty("before")
	if is := shown(); before != is {
		t.Errorf("the size is %s, the screen has %s", before, is)
	}
	p.keys("vi /tmp/poem\n")
	p.shows(`^~$`)
	p.shows(`^- /tmp/poem`)
	p.keys("iroses are red\n")
	p.insert("紫罗兰是蓝色的")
	p.press("Escape")
	p.shot("vi")
	p.resize([2]int64{1000, 500})
	p.until("vi fills the smaller screen", fmt.Sprintf(`((lines) => lines.length === %s && lines.at(-1).startsWith("- /tmp/poem"))(%s?.split("\n") ?? [])`, holds("emulator.xterm.rows"), holds("text()")))
	p.keys(":wq\n")
	p.shows(`^/ #$`)
	after := stty("after")
	if is := shown(); after != is || after == before {
		t.Errorf("the size was %s and is %s, the screen has %s", before, after, is)
	}
	p.keys("cat /tmp/poem\n")
	p.shows(`^roses are red\n紫罗兰是蓝色的$`)

	// What was typed before a reload is there after it, and nothing was typed
	// by the terminal itself.
	p.navigate("about:blank")
	p.navigate(s.address)
	p.shows(`^roses are red\n紫罗兰是蓝色的\n/ #$`)
	p.keys("exit 3\n")
	p.see(`[data-test="ended-text"]`, "exited with 3")
	p.shows(`^紫罗兰是蓝色的\n/ # exit 3$`)
	p.shot("ended")
}

// What cat gets of a paste is what was on the clipboard.
func browsePaste(t *testing.T, s *site) {
	name := unique("paste")
	s.run(t, name, "exec sleep 600")
	p := s.visit(t, s.alice)
	p.shell(name)
	var text strings.Builder
	for i := 0; text.Len() < 200<<10; i++ {
		fmt.Fprintf(&text, "line %d: 剪贴板 of \t%x %s\n", i, sha256.Sum256([]byte{byte(i), byte(i >> 8)}), `"$(exit)" \'`)
	}
	p.keys("stty -echo; echo here is cat; cat > /tmp/pasted; sha256sum /tmp/pasted\n")
	p.shows(`^here is cat$`)
	p.keys("begin\n")
	p.paste(text.String())
	p.keys("end\n")
	p.press("Control+d")
	want := fmt.Sprintf("%x", sha256.Sum256([]byte("begin\n"+text.String()+"end\n")))
	if got := p.shows(`^[0-9a-f]{64}  /tmp/pasted`); !strings.HasPrefix(got, want) {
		t.Errorf("cat got %s, the clipboard has %s", got, want)
	}
}

// A network that is cut thrice while output flows loses none of it and doubles
// none; the screen stays as it is, and what is typed meanwhile is sent once.
func browseCut(t *testing.T, s *site) {
	name := unique("cut")
	s.run(t, name, "exec sleep 600")
	p := s.visit(t, s.alice)
	p.expect(`ERR_(CONNECTION|EMPTY_RESPONSE|INCOMPLETE|NETWORK|SOCKET)|WebSocket connection to`)
	p.shell(name)
	const lines = 6000
	p.keys(fmt.Sprintf("clear; i=0; while [ $i -lt %d ]; do echo line $i of the flood; i=$((i+1)); [ $((i%%25)) = 0 ] && sleep 0.01; done\n", lines))
	for _, from := range []int{100, 1500, 3000} {
		p.until("the flood flows", fmt.Sprintf(`Number(/line (\d+)/.exec(%s)?.[1] ?? 0) > %d`, holds("text()"), from))
		s.network.cut()
		p.see(`[data-phase="reconnecting"]`, "")
		p.see(`[data-test="reconnecting"]`, "Connection lost")
		before := p.screen()
		if !strings.Contains(before, "of the flood") {
			t.Errorf("the screen is\n%s", before)
		}
		if from == 100 {
			p.shot("reconnecting")
			before = p.screen() // it had another size meanwhile
		}
		time.Sleep(100 * time.Millisecond)
		if now := p.screen(); now != before {
			t.Errorf("the screen changes from\n%s\nto\n%s", before, now)
		}
		s.network.mend()
		p.click(`[data-test="reconnecting"] button`, "Now")
		p.see(`[data-phase="live"]`, "")
		p.gone(`[data-test="reconnecting"]`)
	}
	p.shows(fmt.Sprintf(`^line %d of the flood\n/ #$`, lines-1))
	var want, got []string
	for i := range lines {
		want = append(want, fmt.Sprintf("line %d of the flood", i))
	}
	for _, line := range p.scrolled() {
		if strings.HasPrefix(line, "line ") {
			got = append(got, line)
		}
	}
	if !slices.Equal(got, want) {
		same := 0
		for same < min(len(got), len(want)) && got[same] == want[same] {
			same++
		}
		t.Errorf("%d lines are there of %d; after the first %d of them come %q", len(got), len(want), same, got[same:min(len(got), same+5)])
	}

	s.network.cut()
	p.see(`[data-test="reconnecting"]`, "Connection lost")
	p.keys("echo $((6*7)) meanwhile\n")
	s.network.mend()
	p.shows(`^42 meanwhile\n/ #$`)
	if n := strings.Count(p.screen(), "42 meanwhile"); n != 1 {
		t.Errorf("what was typed is there %d times", n)
	}
}
