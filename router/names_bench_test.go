package router

import "testing"

// BenchmarkNames gathers what a create of 4 KB names.
func BenchmarkNames(b *testing.B) {
	c := readCall(b, "POST", "/v1.41/containers/create?name=shop-worker-1", string(benchmarkBody(b)))
	c.memory = nil // read anew each time
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Objects(); err != nil {
			b.Fatal(err)
		}
	}
}
