package load

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// Idle are requests whose answers are silent streams, and their statuses.
var Idle = []struct {
	Work    string
	Request []byte
	Status  int
}{
	{"idle hijack", hijack("silent"), 101},
	{"idle events", Request("GET", "/v1.41/events", "", ""), 200},
}

// Streams opens n streams at once and holds them until closeAll is called.
func Streams(socket string, request []byte, status, n int) (closeAll func(), err error) {
	const dialers = 8
	open := make([]*Conn, n)
	errs := make([]error, dialers)
	var all sync.WaitGroup
	for d := range dialers {
		all.Go(func() {
			for i := d; i < n && errs[d] == nil; i += dialers {
				if open[i], errs[d] = Open(socket, request, status); errs[d] != nil {
					errs[d] = fmt.Errorf("stream %d of %d: %w", i+1, n, errs[d])
				}
			}
		})
	}
	all.Wait()
	return func() {
		for _, c := range open {
			if c != nil {
				c.Close()
			}
		}
	}, errors.Join(errs...)
}

// Echo is a hijacked stream of the stub engine's that gives back what it gets,
// as a terminal does.
type Echo struct{ *Conn }

// OpenEcho opens one.
func OpenEcho(socket string) (Echo, error) {
	c, err := Open(socket, hijack("echo"), 101)
	return Echo{c}, err
}

// Line sends a line and waits until it has come back.
func (e Echo) Line() error {
	const line = "ls -la\n"
	if _, err := io.WriteString(e, line); err != nil {
		return err
	}
	return e.Exact(int64(len(line)))
}
