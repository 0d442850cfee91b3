//go:build !linux || 386 || s390x

package http1

import "errors"

// splicer is Linux's only, and needs its socket calls by number: elsewhere bytes
// are read and written.
type splicer struct{ in, most int64 }

func newSplicer(_, _ *Conn, _ func(int) (int64, error)) *splicer { return nil }

func (*splicer) wait() error          { return errNoSplice }
func (*splicer) send() (int64, error) { return 0, errNoSplice }

func peek(int, int64, []byte) (int, error) { return 0, errors.ErrUnsupported }
