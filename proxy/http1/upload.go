package http1

import (
	"errors"
	"io"
	"strconv"
	"time"
)

// upload sends a body beside the answer.
type upload struct {
	c    *Conn
	done chan struct{}
	err  error
}

// BodyError is a failure to read the request's body; the Engine has not got
// the whole of it.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return "reading the request's body: " + e.Err.Error() }

func (e *BodyError) Unwrap() error { return e.Err }

func startUpload(c *Conn, r io.Reader, length int64) *upload {
	u := &upload{c: c, done: make(chan struct{})}
	go func() {
		err := u.run(r, length)
		u.err = err
		close(u.done) // first: whoever reads the answer shall know why it ends
		var body *BodyError
		if errors.As(err, &body) { // the Engine must not take what came for the whole
			c.Close()
		}
	}()
	return u
}

func (u *upload) run(r io.Reader, length int64) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var line []byte
	for sent := int64(0); length < 0 || sent < length; {
		n, err := r.Read(*buf)
		if n > 0 {
			var size, end []byte
			if length < 0 {
				line = append(strconv.AppendInt(line[:0], int64(n), 16), "\r\n"...)
				size, end = line, crlf
			}
			if err := u.c.write(size, (*buf)[:n], end); err != nil {
				return err
			}
			sent += int64(n)
		}
		if err == io.EOF && length < 0 {
			break
		}
		if err == io.EOF && sent < length {
			return &BodyError{io.ErrUnexpectedEOF}
		}
		if err != nil && err != io.EOF {
			return &BodyError{err}
		}
	}
	if length < 0 {
		_, err := io.WriteString(u.c, "0\r\n\r\n")
		return err
	}
	return nil
}

// ended says whether nothing is sent, or read from the caller, any more.
func (u *upload) ended() bool {
	select {
	case <-u.done:
		return true
	default:
		return false
	}
}

// complete says whether all was sent.
func (u *upload) complete() bool { return u.ended() && u.err == nil }

// settle gives the goroutine the moment it needs to note that all is sent: the
// Engine's answer may come before it does.
func (u *upload) settle() {
	t := time.NewTimer(20 * time.Millisecond)
	defer t.Stop()
	select {
	case <-u.done:
	case <-t.C:
	}
}
