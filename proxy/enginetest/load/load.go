// Package load asks an Engine, or a proxy in front of one, for benchmarks and
// soaks: HTTP/1.1 written and read with as little work as will do, so that the
// asking takes little of the machine from what is measured.
package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	bufSize = 64 << 10

	// patience ends a wait for bytes that never come; no row needs as long.
	patience = 60 * time.Second
)

// Conn is a connection that asks.
type Conn struct {
	net.Conn
	buf  []byte
	r, w int
}

// Dial connects to a unix socket.
func Dial(socket string) (*Conn, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c}, nil
}

// Request is a whole request as the docker CLI would write it.
func Request(method, target, fields, body string) []byte {
	if body != "" {
		fields += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return []byte(method + " " + target + " HTTP/1.1\r\nHost: api.moby.localhost\r\nUser-Agent: Docker-Client/28.5.2 (linux)\r\n" + fields + "\r\n" + body)
}

// Upgrade are the fields that ask for a hijack.
const Upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n"

func (c *Conn) fill() error {
	if c.buf == nil {
		c.buf = make([]byte, bufSize)
	}
	if c.r == c.w {
		c.r, c.w = 0, 0
	} else if c.w == len(c.buf) {
		if c.r == 0 {
			return errors.New("a head or line of more than 64 KiB")
		}
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	n, err := c.Conn.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// until returns the bytes up to and with end.
func (c *Conn) until(end string) ([]byte, error) {
	for {
		if i := bytes.Index(c.buf[c.r:c.w], []byte(end)); i >= 0 {
			b := c.buf[c.r : c.r+i+len(end)]
			c.r += len(b)
			return b, nil
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// Head reads an answer's head; size is -1 where the body is chunked.
func (c *Conn) Head() (status int, size int64, err error) {
	head, err := c.until("\r\n\r\n")
	if err != nil {
		return 0, 0, err
	}
	if len(head) < 12 {
		return 0, 0, fmt.Errorf("the head %q", head)
	}
	if status, err = strconv.Atoi(string(head[9:12])); err != nil {
		return 0, 0, fmt.Errorf("the head %q", head)
	}
	for rest := head; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return status, size, nil
		}
		line := rest[:i]
		rest = rest[i+1:]
		switch {
		case prefix(line, "content-length:"):
			size, err = strconv.ParseInt(string(bytes.TrimSpace(line[15:])), 10, 64)
		case prefix(line, "transfer-encoding:"):
			size = -1
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

func prefix(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)-1] == ':' && strings.EqualFold(string(line[:len(name)]), name)
}

// body reads a body of size bytes, or a chunked one for -1, into w where that
// is not nil, and returns its decoded size.
func (c *Conn) body(size int64, w io.Writer) (int64, error) {
	if size >= 0 {
		return size, c.pass(size, w)
	}
	var total int64
	for {
		line, err := c.until("\r\n")
		if err != nil {
			return total, err
		}
		n, err := strconv.ParseInt(string(line[:len(line)-2]), 16, 64)
		if err != nil {
			return total, err
		}
		if n == 0 {
			for len(line) > 2 && err == nil { // trailers
				line, err = c.until("\r\n")
			}
			return total, err
		}
		if err := c.pass(n, w); err != nil {
			return total, err
		}
		if line, err := c.until("\r\n"); err != nil || len(line) != 2 {
			return total, errors.Join(errors.New("a chunk without its end"), err)
		}
		total += n
	}
}

func (c *Conn) pass(n int64, w io.Writer) error {
	for n > 0 {
		if c.r == c.w {
			if err := c.fill(); err != nil {
				return err
			}
		}
		k := int(min(n, int64(c.w-c.r)))
		if w != nil {
			w.Write(c.buf[c.r : c.r+k])
		}
		c.r += k
		n -= int64(k)
	}
	return nil
}

// Do asks and reads the answer; its body goes to w where that is not nil.
func (c *Conn) Do(request []byte, w io.Writer) (status int, size int64, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, 0, err
	}
	status, size, err = c.Head()
	if err != nil {
		return status, 0, err
	}
	size, err = c.body(size, w)
	return status, size, err
}

// Ask dials, asks once, and returns the answer's body; a status of 400 or more
// is an error.
func Ask(socket string, request []byte) ([]byte, error) {
	c, err := Dial(socket)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	var body bytes.Buffer
	status, _, err := c.Do(request, &body)
	if err == nil && status >= 400 {
		err = fmt.Errorf("status %d: %s", status, bytes.TrimSpace(body.Bytes()))
	}
	return body.Bytes(), err
}

// Open dials and asks for a stream, whose head it reads; want is the status.
func Open(socket string, request []byte, want int) (*Conn, error) {
	c, err := Dial(socket)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	if _, err = c.Write(request); err == nil {
		var status int
		if status, _, err = c.Head(); err == nil && status != want {
			err = fmt.Errorf("status %d, want %d", status, want)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	if c.r == c.w {
		c.buf, c.r, c.w = nil, 0, 0 // thousands of them wait at once
	}
	return c, nil
}

// Drain reads to the end of the stream.
func (c *Conn) Drain() (int64, error) {
	n := int64(c.w - c.r)
	c.r = c.w
	for {
		err := c.fill()
		n += int64(c.w - c.r)
		c.r = c.w
		if err == io.ErrUnexpectedEOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// Exact reads n bytes of the stream.
func (c *Conn) Exact(n int64) error { return c.pass(n, nil) }

// Rate is how a target is asked over and over.
type Rate struct {
	Socket      string
	Connections int
	For         time.Duration
	Request     []byte
	Fresh       bool // a new connection for each request
	Status      int  // every answer's
	Size        int64
}

// Run asks and counts the answers; a wrong one is an error.
func (r Rate) Run() (answers int, took time.Duration, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := time.Now()
	end := begin.Add(r.For)
	for range r.Connections {
		all.Go(func() {
			n, e := r.one(end)
			mu.Lock()
			answers, err = answers+n, errors.Join(err, e)
			mu.Unlock()
		})
	}
	all.Wait()
	return answers, time.Since(begin), err
}

func (r Rate) one(end time.Time) (n int, err error) {
	var c *Conn
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	var buf []byte
	for time.Now().Before(end) {
		if c == nil {
			if c, err = Dial(r.Socket); err != nil {
				return n, err
			}
			c.buf = buf // kept: clearing 64 KiB a connection would be most of the work
			c.SetDeadline(end.Add(patience))
		}
		status, size, err := c.Do(r.Request, nil)
		if err != nil {
			return n, err
		}
		if status != r.Status || size != r.Size {
			return n, fmt.Errorf("answer %d with %d bytes, want %d with %d", status, size, r.Status, r.Size)
		}
		n++
		if r.Fresh {
			buf = c.buf
			c.Close()
			c = nil
		}
	}
	return n, nil
}
