//go:build bench && linux

package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"moorgate/proxy/enginetest/load"
)

// ownConfig lets whoever runs the bench see what is theirs.
const ownConfig = `
listen: [ { address: unix://DIR/m.sock, mode: "0600", identify: [peer] } ]
engines: { local: { address: unix://ENGINE } }
users: { tester: { uid: UID, roles: [own] } }
roles: { own: { allow: ["*"], scope: own, images: any, containers: any } }
audit: { file: audit.jsonl }
`

// ownLists measures a list of 50 KB, of which a tenth is the caller's and the
// rest is cut out on its way. Direct and plain pass all of it.
func (b *bench) ownLists(stub *load.Process) {
	const work = "list, cut to one's own"
	if !b.wants(work) {
		return
	}
	dir := b.path("own")
	b.must(os.Mkdir(dir, 0o700))
	config := strings.NewReplacer("DIR", dir, "UID", fmt.Sprint(os.Getuid()), "ENGINE", b.upstream).Replace(ownConfig)
	file := filepath.Join(dir, "config.yaml")
	b.must(os.WriteFile(file, []byte(config), 0o600))
	owning := b.start(moorgateTarget, filepath.Join(dir, "m.sock"), exec.Command(b.bin, "serve", "--config", file))
	b.ready(owning)
	defer owning.Stop()
	plain := b.proxy(plainTarget)
	b.ready(plain)
	defer plain.Stop()
	list := load.Request("GET", "/v1.41/networks?filters=%7B%22name%22%3A%5B%22bench%22%5D%7D", "", "")
	all, err := load.Ask(b.upstream, list)
	b.must(err)
	own, err := load.Ask(owning.Socket, list)
	b.must(err)
	if len(own) == 0 || len(own) > len(all)/5 || !bytes.Contains(own, []byte(`"bench-0"`)) || bytes.Contains(own, []byte(`"bench-1"`)) {
		b.Fatalf("%s: %d bytes of %d, which are not the caller's alone", work, len(own), len(all))
	}
	for range b.rounds {
		for _, t := range []benchTarget{{directTarget, b.upstream, stub}, {plainTarget, plain.Socket, plain}, {moorgateTarget, owning.Socket, owning}} {
			size := int64(len(all))
			if t.process == owning {
				size = int64(len(own))
			}
			b.rateOf(benchAsk{work, list, false, 200}, t, size)
		}
	}
}
