//go:build bench && linux

package main_test

import (
	"bytes"
	"slices"

	"moorgate/proxy/enginetest/load"
)

// scopeAll and scopeOwn are moorgates with the same role, but for its scope.
const scopeAll, scopeOwn = "scope all", "scope own"

// ownNetworks asks for 50 KB, of which a tenth is the caller's; the Engine has
// no filter for that.
var ownNetworks = load.Request("GET", "/v1.41/networks?filters=%7B%22name%22%3A%5B%22bench%22%5D%7D", "", "")

// isOwn says whether an answer to ownNetworks is the caller's part of all.
func isOwn(got, all []byte) bool {
	return len(got) > 0 && len(got) < len(all)/5 && bytes.Contains(got, []byte(`"bench-0"`)) && !bytes.Contains(got, []byte(`"bench-1"`))
}

// ownership measures what it costs that users see and touch what is theirs
// alone. The Engine has a thousand containers of ten users.
func (b *bench) ownership() {
	list := func(filters string) []byte {
		return load.Request("GET", "/v1.41/containers/json?filters=%7B%22name%22%3A%5B%22thousand%22%5D"+filters+"%7D", "", "")
	}
	const body = `{"AttachStdin":false,"AttachStdout":true,"AttachStderr":true,"Tty":false,"Cmd":["true"]}`
	asks := []benchAsk{
		{"docker ps among 1,000", list(""), false, 200, true},
		{"docker ps of the same 100", list("%2C%22label%22%3A%5B%22moorgate.owner%3Dtester%22%5D"), false, 200, false},
		{"inspect", load.Request("GET", "/v1.41/containers/shop-worker-1/json", "", ""), false, 200, false},
		{"exec create", load.Request("POST", "/v1.41/containers/shop-worker-1/exec", "", body), false, 201, false},
	}
	asks = slices.DeleteFunc(asks, func(a benchAsk) bool { return !b.wants(a.work) })
	if len(asks) == 0 || b.bin == "" {
		return
	}
	scopes := b.proxies(scopeAll, scopeOwn)
	defer b.stop(scopes)
	for _, a := range asks {
		all, err := load.Ask(scopes[0].socket, a.request)
		b.must(err)
		own, err := load.Ask(scopes[1].socket, a.request)
		b.must(err)
		listed, owned := bytes.Count(all, []byte(`{"Id"`)), bytes.Count(own, []byte(`"moorgate.owner":"tester"`))
		if a.cut && (listed != 1000 || owned != 100 || bytes.Count(own, []byte(`{"Id"`)) != 100) || !a.cut && listed > 1 && !bytes.Equal(all, own) {
			b.Fatalf("%s: %d containers in %d bytes; one's own %d in %d", a.work, listed, len(all), owned, len(own))
		}
	}
	for range b.rounds {
		for _, a := range asks {
			for _, t := range scopes {
				b.rate(a, t)
			}
		}
	}
}
