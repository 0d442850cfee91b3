package load

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net"
	"time"
)

// pieceSize is what the docker CLI sends in a chunk: io.Copy's buffer.
const pieceSize = 32 << 10

// A Bulk moves size bytes one way, on one connection.
type Bulk struct {
	Work string
	Do   func(socket string, size int64) error
}

// Bulks are all of them.
var Bulks = []Bulk{
	{"hijack, to the client", Source},
	{"hijack, framed", Frames},
	{"hijack, to the Engine", Sink},
	{"chunked download", Download},
	{"upload (load)", Upload},
}

// hijack asks for a stream of the stub engine's mode.
func hijack(mode string) []byte {
	return Request("POST", "/v1.41/containers/"+mode+"/attach?stream=1&stdin=1&stdout=1", Upgrade, "")
}

// Source takes size bytes from a hijacked stream.
func Source(socket string, size int64) error {
	c, err := Open(socket, hijack(fmt.Sprintf("source-%d", size)), 101)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Exact(size)
}

// Frames takes size bytes from a hijacked stream that is framed, as one without
// a TTY is since API 1.42.
func Frames(socket string, size int64) error {
	target := fmt.Sprintf("/v1.44/containers/frames-%d/attach?stream=1&stdout=1", size)
	c, err := Open(socket, Request("POST", target, Upgrade, ""), 101)
	if err != nil {
		return err
	}
	defer c.Close()
	const frameHead = 8
	return c.Exact(size + (size+pieceSize-1)/pieceSize*frameHead)
}

// Sink sends size bytes into a hijacked stream, and waits until they have
// arrived.
func Sink(socket string, size int64) error {
	c, err := Open(socket, hijack("sink"), 101)
	if err != nil {
		return err
	}
	defer c.Close()
	piece := make([]byte, pieceSize)
	for n := size; n > 0; n -= pieceSize {
		if _, err := c.Write(piece[:min(n, pieceSize)]); err != nil {
			return err
		}
	}
	if err := c.Conn.(*net.UnixConn).CloseWrite(); err != nil {
		return err
	}
	return c.Exact(int64(len(fmt.Sprintln(size))))
}

// Download takes size bytes as a chunked answer.
func Download(socket string, size int64) error {
	c, err := Dial(socket)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	status, got, err := c.Do(Request("GET", fmt.Sprintf("/v1.41/containers/%d/export", size), "", ""), nil)
	if err == nil && (status != 200 || got != size) {
		err = fmt.Errorf("answer %d with %d bytes, want 200 with %d", status, got, size)
	}
	return err
}

// Upload loads an image archive of about size bytes, chunked as the docker CLI
// sends it.
func Upload(socket string, size int64) error {
	c, err := Dial(socket)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	size -= size % pieceSize
	begin, end := archive(size)
	head := Request("POST", "/v1.41/images/load?quiet=1", "Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n", "")
	if _, err := c.Write(append(head, chunk(begin)...)); err != nil {
		return err
	}
	piece := chunk(make([]byte, pieceSize))
	for ; size > 0; size -= pieceSize {
		if _, err := c.Write(piece); err != nil {
			return err
		}
	}
	status, _, err := c.Do(append(chunk(end), "0\r\n\r\n"...), nil)
	if err == nil && status != 200 {
		err = fmt.Errorf("status %d, want 200", status)
	}
	return err
}

// archive is what `docker save` writes of an image with one layer, in front of
// and behind the layer's size bytes, whole blocks of tar's.
func archive(size int64) (begin, end []byte) {
	const layer = "8d3ac3489996423f53d6087c81180006263b79f206d3fdec9e66f0e27ceb8759/layer.tar"
	files := [][2]string{
		{"4d5e6f.json", `{"architecture":"amd64","os":"linux","config":{"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":[]}}`},
		{"manifest.json", `[{"Config":"4d5e6f.json","RepoTags":["shop/new:2.1"],"Layers":["` + layer + `"]}]`},
		{"repositories", `{"shop/new":{"2.1":"8d3ac3489996423f53d6087c81180006263b79f206d3fdec9e66f0e27ceb8759"}}`},
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: layer, Mode: 0o644, Size: size})
	begin = bytes.Clone(b.Bytes())
	b.Reset()
	w = tar.NewWriter(&b)
	for _, f := range files {
		w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1]))})
		io.WriteString(w, f[1])
	}
	w.Close()
	return begin, b.Bytes()
}

func chunk(b []byte) []byte {
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(b), b)
}
