package main

import (
	"strings"
	"testing"
)

// Who watches sees all and changes nothing, and both know of each other.
func browseShare(t *testing.T, s *site) {
	name := unique("share")
	s.run(t, name, "exec sleep 600")
	alice := s.visit(t, s.alice)
	alice.shell(name)
	alice.keys("echo $((6*7)) before\n")
	alice.shows(`^42 before$`)
	alice.click(`[data-test="share"]`, "")
	alice.fill(`[data-test="share-user"]`, s.bob)
	alice.click(`[data-test="invite"]`, "")
	alice.see(`[data-test="share-done"]`, s.bob+" finds it among their sessions")
	alice.shot("invited")
	var link string
	alice.ask(`document.querySelector('[data-test="share-done"] input').value`, &link)
	alice.press("Escape")
	alice.gone(`[data-test="share-dialog"]`)
	alice.until("the keyboard is back at the terminal", `document.activeElement.matches(".xterm-helper-textarea")`)

	bob := visit(t, s.chromium, link)
	bob.login(s.bob)
	bob.see(`[data-test="watching"]`, "watching "+s.alice+", read only")
	bob.shows(`^42 before$`)
	alice.see(`[data-test="avatars"]`, "b")
	alice.keys("echo $((6*7)) while bob is here\n")
	bob.shows(`^42 while bob is here$`)
	var sizes [2][2]int
	for i, p := range []*page{alice, bob} {
		p.ask(`[`+holds("emulator.xterm.cols")+`, `+holds("emulator.xterm.rows")+`]`, &sizes[i])
	}
	if sizes[0] != sizes[1] {
		t.Errorf("alice's screen is %v, bob's %v", sizes[0], sizes[1])
	}

	bob.click(".terminal", "")
	bob.keys("echo intruder\n")
	bob.paste("echo intruder\n")
	bob.ask(holds(`input("echo intruder\r")`), nil) // what the page itself would refuse, and the server must
	bob.ask(holds(`link.send([Uint8Array.from([0, ...new TextEncoder().encode("echo intruder\r")])])`), nil)
	bob.see(`[data-test="note-fault"]`, "you watch this session and cannot type")
	alice.keys("echo $((6*7)) alone\n")
	alice.shows(`^42 alone$`)
	bob.shows(`^42 alone$`)
	for _, p := range []*page{alice, bob} {
		if strings.Contains(p.screen(), "intruder") {
			t.Errorf("bob typed:\n%s", p.screen())
		}
	}
	alice.shot("watched")
	bob.shot("watching")

	// Who goes to another page is gone, and is back with the page.
	bob.navigate("about:blank")
	alice.gone(`[data-test="avatars"]`)
	bob.ask(`history.back()`, nil)
	bob.see(`[data-phase="live"]`, "")
	bob.shows(`^42 alone$`)
	alice.see(`[data-test="avatars"]`, "b")
	bob.end()
	alice.gone(`[data-test="avatars"]`)
}

func browseRecording(t *testing.T, s *site) {
	name := unique("recorded")
	s.run(t, name, "exec sleep 600")
	p := s.visit(t, s.alice)
	p.click(`[data-test="new"]`, "")
	p.fill(`[data-test="container-field"]`, name)
	p.fill(`[data-test="command"]`, `sh -c "echo $((6*7)) first; sleep 1.5; clear; echo 录像 second; sleep 0.5; exit 7"`)
	p.click(`[data-test="record"]`, "")
	p.shot("dialog")
	p.press("Enter")
	p.shows(`^42 first$`)
	p.see(`[data-test="recorded"]`, "")
	p.see(`[data-test="ended-text"]`, "exited with 7")
	p.shows(`^录像 second$`)
	p.see(`[data-test="recording"]`, name)
	p.click(`[data-test="ended"] button`, "Recording")
	p.see(`[data-test="player"]`, s.alice)
	p.shows(`^42 first$`)
	p.shot("player")
	p.shows(`^录像 second$`)
	p.until("it stops at the end", `document.querySelector('[data-test="player"]').dataset.playing === "false"`)
	if screen := p.screen(); strings.Contains(screen, "first") {
		t.Errorf("at the end it shows\n%s", screen)
	}
	// Half a second before the second word, which came half a second before the end.
	p.ask(`((seek) => { seek.value = String(seek.max - 1); seek.dispatchEvent(new Event("input", { bubbles: true })); })(document.querySelector('[data-test="seek"]'))`, nil)
	p.shows(`^42 first$`)
	if screen := p.screen(); strings.Contains(screen, "second") {
		t.Errorf("after seeking back it shows\n%s", screen)
	}

	// Nobody else finds or gets it, but administrators.
	bob := s.visit(t, s.bob)
	bob.see(`[data-test="recordings"]`, "No recordings")
	root := s.visit(t, "root")
	root.click(`[data-test="admin"]`, "")
	root.click(`[data-test="view-recordings"]`, "")
	root.see(`[data-test="admin-recordings"]`, name)
	root.shot("recordings")
}

// A refusal is shown where the terminal would be, with its reason, and the id
// by which administrators find it.
func browseRefused(t *testing.T, s *site) {
	p := s.visit(t, s.alice)
	p.expect(`status of 403 .*/api/terminal/sessions$`)
	p.click(`[data-test="new-tab"]`, "")
	p.click(`[data-test="mode-run"]`, "")
	p.fill(`[data-test="image"]`, "ghcr.io/acme/tool:latest")
	p.click(`[data-test="open"]`, "")
	p.see(`[data-test="problem"]`, "The terminal was not opened.")
	p.see(`[data-test="problem"]`, s.alice+" may not")
	p.see(`[data-test="problem"]`, "ghcr.io/acme/tool:latest (role developer, images[0]): pin a version")
	p.shot("problem")
	var id string
	p.ask(`document.querySelector('[data-test="problem"] .request').textContent.replace(/^Request\s*/i, "").trim()`, &id)

	root := s.visit(t, "root")
	root.click(`[data-test="admin"]`, "")
	root.click(`[data-test="view-denied"]`, "")
	root.see(`[data-test="admin-denied"] tr`, "pin a version")
	if len(id) < 8 {
		t.Errorf("the id is %q", id)
	}
	root.see(`[data-test="admin-denied"] tr`, id)
	root.shot("denied")
}

// An administrator writes to a user, and ends their terminal; both are read
// there.
func browseAdministrator(t *testing.T, s *site) {
	name := unique("ended")
	s.run(t, name, "exec sleep 600")
	alice := s.visit(t, s.alice)
	alice.shell(name)
	root := s.visit(t, "root")
	root.click(`[data-test="admin"]`, "")
	root.see(`[data-test="admin-sessions"] tr`, name)
	row := func(button string) {
		t.Helper()
		root.ask(`[...document.querySelectorAll('[data-test="admin-sessions"] tr')].find((r) => r.textContent.includes(`+quote(name)+`)).id = "hers"`, nil)
		root.click(`#hers [data-test="`+button+`"]`, "")
	}
	root.shot("sessions")
	row("message")
	root.fill(`[data-test="text"]`, "save your work")
	root.press("Enter")
	alice.see(`[data-test="note-message"]`, "save your work")
	alice.see(`[data-test="note-message"]`, "root")
	alice.shot("message")
	row("end")
	root.fill(`[data-test="text"]`, "the machine restarts at noon")
	root.click(`[data-test="end-dialog"] [data-test="send"]`, "")
	alice.see(`[data-test="ended"]`, "ended by root: the machine restarts at noon")
	alice.see(`[data-test="session"] [data-state="ended"], [data-test="sessions"] .empty`, "")
	alice.shot("ended")
	root.until("it is not in the list of live ones", `![...document.querySelectorAll('[data-test="admin-sessions"] tr')].some((r) => r.textContent.includes(`+quote(name)+`))`)
	if strings.Contains(alice.screen(), "noon") {
		t.Errorf("the reason was typed into the terminal:\n%s", alice.screen())
	}
}
