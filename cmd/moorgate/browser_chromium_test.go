package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	cdpnetwork "github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"moorgate/terminal/web"
)

// startChromium gives a browser without a window, for all tests of the page.
func startChromium(t *testing.T) context.Context {
	t.Helper()
	lacking := func(what string) {
		t.Helper()
		if os.Getenv("CI") != "" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		lacking("needs Debian's chromium: run make deps")
	}
	if _, err := web.Index(); err != nil {
		lacking(err.Error())
	}
	flags := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(shortDir(t)), chromedp.WSURLReadTimeout(3 * patience)}
	for _, name := range []string{
		"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update",
		"disable-sync", "disable-dev-shm-usage", "disable-background-timer-throttling", "disable-renderer-backgrounding", "hide-scrollbars",
	} {
		flags = append(flags, chromedp.Flag(name, true))
	}
	flags = append(flags, chromedp.Flag("lang", "en-US"))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), flags...)
	t.Cleanup(stop)
	// Of a newer Chromium's events it may not know all; what matters is asserted.
	ctx, end := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(end)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return ctx
}

// page is a tab of a browser that nobody else uses: with cookies, storage and
// a clipboard of its own.
type page struct {
	t    *testing.T
	ctx  context.Context
	size [2]int64
	end  func() // closes it

	mu         sync.Mutex
	complaints []string // of the browser about the page
	expected   []*regexp.Regexp
}

var (
	desktop = [2]int64{1280, 800}
	phone   = [2]int64{390, 844}
)

// phoneWidth is up to where the page takes a screen for a phone's.
const phoneWidth = 720

// unknownCaller is what a page gets that asks who it is before the login.
var unknownCaller = regexp.MustCompile(`status of 401 .*/api/me$`)

// visit opens an address. At the test's end the browser may have had nothing
// to complain of, on the console or about the page's security policy.
func visit(t *testing.T, chromium context.Context, address string) *page {
	t.Helper()
	ctx, end := newTab(t, chromium)
	p := &page{t: t, ctx: ctx, end: end, size: desktop, expected: []*regexp.Regexp{unknownCaller}}
	chromedp.ListenTarget(ctx, p.listen)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the page at the end:\n%s\nits terminal:\n%s", p.text(), p.screen())
			p.capture("failed")
		}
		end()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.complaints {
			t.Errorf("the browser complains: %s", c)
		}
	})
	if err := chromedp.Run(ctx, cdpnetwork.Disable(), emulation.SetFocusEmulationEnabled(true)); err != nil {
		t.Fatalf("a new tab: %v", err)
	}
	p.resize(desktop)
	p.navigate(address)
	return p
}

// newTab opens a tab, in a window of its own with a profile of its own: there
// is no window yet that the profile could open a tab in.
func newTab(t *testing.T, chromium context.Context) (tab context.Context, end func()) {
	t.Helper()
	c := chromedp.FromContext(chromium)
	executor := cdp.WithExecutor(chromium, c.Browser)
	profile, err := target.CreateBrowserContext().WithDisposeOnDetach(true).Do(executor)
	if err != nil {
		t.Fatalf("a new profile: %v", err)
	}
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(executor)
	if err != nil {
		t.Fatalf("a new window: %v", err)
	}
	permissions := []cdpbrowser.PermissionType{cdpbrowser.PermissionTypeClipboardReadWrite, cdpbrowser.PermissionTypeClipboardSanitizedWrite}
	if err := cdpbrowser.GrantPermissions(permissions).WithBrowserContextID(profile).Do(executor); err != nil {
		t.Fatalf("the clipboard: %v", err)
	}
	tab, cancel := chromedp.NewContext(chromium, chromedp.WithTargetID(id))
	return tab, func() {
		cancel()
		_ = target.DisposeBrowserContext(profile).Do(executor) // it ends with the browser in any case
	}
}

func (p *page) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning || e.Type == runtime.APITypeAssert {
			var words []string
			for _, a := range e.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			p.complain(strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		p.complain(e.ExceptionDetails.Error())
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.LevelError || e.Entry.Source == cdplog.SourceSecurity {
			p.complain(e.Entry.Text + " " + e.Entry.URL)
		}
	}
}

func (p *page) complain(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.expected {
		if e.MatchString(what) {
			return
		}
	}
	p.complaints = append(p.complaints, what)
}

// expect names complaints that what the test does must lead to.
func (p *page) expect(pattern string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = append(p.expected, regexp.MustCompile(pattern))
}

func (p *page) try(actions ...chromedp.Action) error {
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	return chromedp.Run(ctx, actions...)
}

func (p *page) do(actions ...chromedp.Action) {
	p.t.Helper()
	if err := p.try(actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) navigate(address string) {
	p.t.Helper()
	p.do(chromedp.ActionFunc(func(ctx context.Context) error {
		_, _, failure, _, err := cdppage.Navigate(address).Do(ctx)
		if err == nil && failure != "" {
			err = fmt.Errorf("opening %s: %s", address, failure)
		}
		return err
	}))
}

// ask evaluates an expression into to, which may be nil.
func (p *page) ask(expression string, to any) {
	p.t.Helper()
	p.do(chromedp.Evaluate(expression, to, func(e *runtime.EvaluateParams) *runtime.EvaluateParams {
		return e.WithAwaitPromise(true).WithUserGesture(true)
	}))
}

// is says whether an expression is true; between two documents nothing is.
func (p *page) is(expression string) bool {
	var yes bool
	return p.try(chromedp.Evaluate(expression, &yes)) == nil && yes
}

func (p *page) until(what, expression string) {
	p.t.Helper()
	await(p.t, what, func() bool { return p.is(expression) })
}

// found is an expression for the elements that can be seen, match a selector,
// and have a text in them.
func found(selector, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%s)].filter((e) => e.checkVisibility({ visibilityProperty: true }) && e.textContent.includes(%s))`, quote(selector), quote(text))
}

func quote(s string) string { return strconv.QuoteToGraphic(s) }

// see waits until an element can be seen with this text in it.
func (p *page) see(selector, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%s with %q is seen", selector, text), found(selector, text)+".length > 0")
}

// gone waits until no such element is seen.
func (p *page) gone(selector string) {
	p.t.Helper()
	p.until(selector+" is gone", found(selector, "")+".length === 0")
}

// shownTerminal is the terminal, or the player of a recording, that is seen.
const shownTerminal = `[...document.querySelectorAll(".terminal")].filter((e) => e.checkVisibility()).map((e) => e.terminal ?? e.playback)[0]`

// screen is the text on the screen of the terminal that is seen.
func (p *page) screen() (text string) {
	if err := p.try(chromedp.Evaluate(shownTerminal+`?.text() ?? ""`, &text)); err != nil {
		return err.Error()
	}
	return text
}

// text is all that is written on the page.
func (p *page) text() (text string) {
	if err := p.try(chromedp.Evaluate(`document.body.innerText`, &text)); err != nil {
		return err.Error()
	}
	return text
}

// shows waits until a line of the screen matches; the line is given back.
func (p *page) shows(pattern string) string {
	p.t.Helper()
	line := regexp.MustCompile(`(?m)` + pattern)
	var screen string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		screen = p.screen()
		if found := line.FindString(screen); found != "" {
			return found
		}
	}
	p.t.Fatalf("no line is %s after %s; the screen is\n%s", pattern, patience, screen)
	return ""
}

// scrolled is all that the terminal shows or showed before it scrolled away.
func (p *page) scrolled() (lines []string) {
	p.t.Helper()
	p.ask(`((buffer) => {
		const lines = [];
		for (let i = 0; i < buffer.length; i++) {
			const line = buffer.getLine(i), text = line.translateToString(true);
			if (line.isWrapped) lines[lines.length - 1] += text;
			else lines.push(text);
		}
		return lines;
	})(`+shownTerminal+`.emulator.xterm.buffer.active)`, &lines)
	return lines
}

func (p *page) resize(size [2]int64) {
	p.t.Helper()
	p.size = size
	p.do(emulation.SetDeviceMetricsOverride(size[0], size[1], 1, size[0] < phoneWidth), emulation.SetTouchEmulationEnabled(size[0] < phoneWidth))
}

// prefer says what the system is set to: "light" or "dark".
func (p *page) prefer(scheme string) {
	p.t.Helper()
	p.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// shot takes pictures of what is seen, for eyes: into the folder that
// MOORGATE_SHOTS names, if it does.
func (p *page) shot(name string) {
	p.t.Helper()
	if os.Getenv("MOORGATE_SHOTS") == "" {
		return
	}
	before := p.size
	for _, size := range [][2]int64{desktop, phone} {
		p.resize(size)
		for _, scheme := range []string{"light", "dark"} {
			p.prefer(scheme)
			time.Sleep(400 * time.Millisecond)
			p.capture(fmt.Sprintf("%s-%d-%s", name, size[0], scheme))
		}
	}
	p.prefer("light")
	p.resize(before)
	time.Sleep(400 * time.Millisecond) // the server hears of the size a little later
}

func (p *page) capture(name string) {
	dir := os.Getenv("MOORGATE_SHOTS")
	if dir == "" {
		return
	}
	var png []byte
	err := p.try(chromedp.CaptureScreenshot(&png))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.NewReplacer("/", "_", " ", "-").Replace(p.t.Name()+"-"+name)+".png"), png, 0o600)
	}
	if err != nil {
		p.t.Log(err)
	}
}
