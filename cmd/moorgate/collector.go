package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// How much garbage may gather before it is collected, in percent of what is in
// use, is Go's GOGC. While little is in use, a few MiB, four times that costs
// little memory, and at Go's own 100 collecting is a fifth of the cost of a
// create. With thousands of streams or full scrollbacks it would cost gigabytes,
// and collecting costs little beside the work: there it is Go's own.
const (
	mostGarbage  = 400
	leastGarbage = 100
	garbageRoom  = 16 << 20 // bytes that may always be garbage
)

// garbagePercent is the GOGC for live bytes in use.
func garbagePercent(live uint64) int {
	return int(min(mostGarbage, max(leastGarbage, 100*garbageRoom/max(live, 1))))
}

// tuneCollector follows what is in use from collection to collection, unless
// GOGC in the environment says what is wanted.
func tuneCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(mostGarbage)
	watchCollections(mostGarbage)
}

// watchCollections leaves garbage behind whose collection comes back here.
func watchCollections(percent int) {
	mark := new([16]byte)
	runtime.AddCleanup(mark, func(percent int) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if want := garbagePercent(live[0].Value.Uint64()); 4*want < 3*percent || 3*want > 4*percent {
			debug.SetGCPercent(want) // stops everything for a moment, so not for a little
			percent = want
		}
		watchCollections(percent)
	}, percent)
}
