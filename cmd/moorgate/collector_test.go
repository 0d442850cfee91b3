package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestGarbagePercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 4 << 20: 400, 8 << 20: 200, 16 << 20: 100, 1 << 40: 100} {
		if got := garbagePercent(live); got != want {
			t.Errorf("%d bytes in use: %d percent, want %d", live, got, want)
		}
	}
}

// What the collector is told follows what is in use, up and down.
func TestTuneCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	tuneCollector()
	reaches := func(low, high int) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; {
			runtime.GC()
			time.Sleep(5 * time.Millisecond)
			got := debug.SetGCPercent(-1)
			debug.SetGCPercent(got)
			if low <= got && got <= high {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the collector is at %d percent, want %d to %d", got, low, high)
			}
		}
	}
	big := make([]byte, 64<<20)
	reaches(leastGarbage, leastGarbage)
	runtime.KeepAlive(big)
	big = nil
	reaches(leastGarbage+1, mostGarbage) // as far as the other tests of this process leave little in use
}
