package main

import (
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// click waits for an element, and presses and releases the mouse on it.
func (p *page) click(selector, text string) {
	p.t.Helper()
	var at []float64
	await(p.t, fmt.Sprintf("%s with %q can be clicked", selector, text), func() bool {
		err := p.try(chromedp.Evaluate(`(([e]) => {
			if (!e || e.disabled) return [];
			e.scrollIntoView({ block: "nearest", inline: "nearest" });
			const box = e.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
			return e.contains(document.elementFromPoint(x, y)) ? [x, y] : [];
		})(`+found(selector, text)+`)`, &at))
		return err == nil && len(at) == 2
	})
	for _, kind := range []input.MouseType{input.MousePressed, input.MouseReleased} {
		p.do(input.DispatchMouseEvent(kind, at[0], at[1]).WithButton(input.Left).WithClickCount(1))
	}
}

// drawn waits until what the page does after it has drawn is done.
func (p *page) drawn() {
	p.t.Helper()
	p.ask(`new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(then))))`, nil)
}

// press strikes one key, with modifiers before it: "Enter", "Control+Shift+v".
func (p *page) press(keys string) {
	p.t.Helper()
	var held input.Modifier
	name := keys
	for {
		modifier, rest, more := strings.Cut(name, "+")
		bit, known := map[string]input.Modifier{"Alt": input.ModifierAlt, "Control": input.ModifierCtrl, "Shift": input.ModifierShift}[modifier]
		if !more || !known {
			break
		}
		held |= bit
		name = rest
	}
	r, known := map[string]string{"Enter": kb.Enter, "Escape": kb.Escape, "ArrowUp": kb.ArrowUp, "Tab": kb.Tab}[name]
	if !known {
		r = name
	}
	key, known := kb.Keys[[]rune(r)[0]]
	if !known {
		p.t.Fatalf("no key is called %q", name)
	}
	if key.Shift {
		held |= input.ModifierShift
	}
	down := input.DispatchKeyEvent(input.KeyDown).WithKey(key.Key).WithCode(key.Code).WithModifiers(held).WithWindowsVirtualKeyCode(key.Windows).WithNativeVirtualKeyCode(key.Native)
	up := *down
	up.Type = input.KeyUp
	if held&(input.ModifierAlt|input.ModifierCtrl) == 0 {
		down.Text, down.UnmodifiedText = key.Text, key.Unmodified
	} else if len(key.Code) == 4 { // "KeyA"
		down.WindowsVirtualKeyCode = int64(key.Code[3])
		up.WindowsVirtualKeyCode = down.WindowsVirtualKeyCode
	}
	p.do(down, &up)
}

// keys strikes one key after the other; a newline is Enter.
func (p *page) keys(text string) {
	p.t.Helper()
	for _, r := range text {
		if r == '\n' {
			p.press("Enter")
		} else {
			p.press(string(r))
		}
	}
}

// insert types text that has no keys of its own.
func (p *page) insert(text string) {
	p.t.Helper()
	p.do(input.InsertText(text))
}

// compose types as an input method does, which first shows what it makes a
// word from.
func (p *page) compose(from, word string) {
	p.t.Helper()
	for i := range from {
		p.do(input.ImeSetComposition(from[:i+1], int64(i+1), int64(i+1)))
	}
	p.do(input.InsertText(word))
	p.ask(`new Promise((then) => setTimeout(then, 50))`, nil) // nobody is quicker with the next key than the emulator's timers
}

// fill writes into a field what was not there.
func (p *page) fill(selector, text string) {
	p.t.Helper()
	p.click(selector, "")
	p.ask(fmt.Sprintf(`document.querySelector(%s).select()`, quote(selector)), nil)
	p.do(input.InsertText(text))
	p.until(selector+" has "+text, fmt.Sprintf(`document.querySelector(%s).value === %s`, quote(selector), quote(text)))
}

// paste puts a text on the clipboard and takes it from there into what has the
// keyboard.
func (p *page) paste(text string) {
	p.t.Helper()
	p.ask(`navigator.clipboard.writeText(`+quote(text)+`)`, nil)
	p.press("Control+Shift+V")
}
