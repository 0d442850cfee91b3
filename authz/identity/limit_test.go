package identity

import (
	"fmt"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	now := time.Now()
	l := newLimiter(10*time.Second, 3)
	l.now = func() time.Time { return now }
	for i := range 3 {
		if wait := l.take("a"); wait != 0 {
			t.Fatalf("attempt %d waits %s", i, wait)
		}
	}
	if wait := l.take("a"); wait != 10*time.Second {
		t.Errorf("the fourth waits %s", wait)
	}
	if wait := l.take("b"); wait != 0 {
		t.Errorf("another key waits %s", wait)
	}
	now = now.Add(4 * time.Second)
	if wait := l.take("a"); wait != 6*time.Second {
		t.Errorf("after 4 s it waits %s", wait)
	}
	l.giveBack("a")
	if wait := l.take("a"); wait != 0 {
		t.Errorf("one given back, and it waits %s", wait)
	}
	now = now.Add(time.Hour)
	for i := range 4 {
		if wait := l.take("a"); (wait == 0) != (i < 3) {
			t.Errorf("after an hour attempt %d waits %s", i, wait)
		}
	}
	l.giveBack("never taken")
	if _, ok := l.debt["never taken"]; ok {
		t.Error("what was never taken was given back")
	}
}

func TestLimiterIsBounded(t *testing.T) {
	now := time.Now()
	l := newLimiter(time.Second, 3)
	l.now = func() time.Time { return now }
	for range 3 {
		l.take("held back")
	}
	for i := range maxLimited + 50 {
		l.take(fmt.Sprint(i))
	}
	if len(l.debt) > maxLimited {
		t.Errorf("%d keys are kept", len(l.debt))
	}
	if l.take("held back") == 0 {
		t.Error("a flood of keys freed one that is held back")
	}
	now = now.Add(time.Minute)
	l.take("new")
	l.forget(now.Add(time.Minute))
	if len(l.debt) != 0 {
		t.Errorf("%d keys that owe nothing are kept", len(l.debt))
	}
}

func TestRemoteKey(t *testing.T) {
	for remote, want := range map[string]string{
		"10.1.2.3:4567":            "10.1.2.3",
		"10.1.2.3":                 "10.1.2.3",
		"[::ffff:10.1.2.3]:80":     "10.1.2.3",
		"[2001:db8::1]:80":         "2001:db8::/64",
		"[2001:db8::2:0:0:1]:80":   "2001:db8::/64",
		"[2001:db8:0:1::1]:80":     "2001:db8:0:1::/64",
		"[fe80::1%eth0]:80":        "fe80::/64",
		"":                         "",
		"@":                        "@",
		"pipe":                     "pipe",
		"http://10.1.2.3:80":       "http://10.1.2.3:80",
		"10.1.2.3:4567, 127.0.0.1": "10.1.2.3:4567, 127.0.0.1",
	} {
		if got := remoteKey(remote); got != want {
			t.Errorf("remoteKey(%q) = %q, want %q", remote, got, want)
		}
	}
}
