package router

// debug is Go's own: expvar and pprof. GET symbol reads its whole query as
// program addresses, which are no keys and so are not passed on.
var debug = []Route{
	{Method: "GET", Pattern: "/debug/vars", Action: "debug.vars", Kind: System},
	{Method: "GET", Pattern: "/debug/pprof/", Action: "debug.pprof", Kind: System},
	{Method: "GET", Pattern: "/debug/pprof/cmdline", Action: "debug.pprof", Kind: System},
	{Method: "GET", Pattern: "/debug/pprof/profile", Action: "debug.pprof", Kind: System, Reply: Stream, Query: "seconds"},
	{Method: "GET", Pattern: "/debug/pprof/symbol", Action: "debug.pprof", Kind: System},
	{Method: "GET", Pattern: "/debug/pprof/trace", Action: "debug.pprof", Kind: System, Reply: Stream, Query: "seconds"},
	{Method: "GET", Pattern: "/debug/pprof/{name}", Action: "debug.pprof", Kind: System, Reply: Stream, Query: "debug gc seconds"},
}
