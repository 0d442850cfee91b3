package enginetest

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

const (
	rawStream   = "application/vnd.docker.raw-stream"
	multiplexed = "application/vnd.docker.multiplexed-stream"

	// blockSize is how much the Engine writes at once: io.Copy's buffer.
	blockSize = 32 << 10

	maxEvents = 1 << 20
)

// block has no period that a buffer's size could hide a shifted byte behind.
var block = func() string {
	b := make([]byte, blockSize)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}()

var blockBytes, blockChunk, blockFrame = []byte(block), []byte(chunk(block)), []byte(Frame(1, block))

// Content is what sources and downloads of n bytes send.
func Content(n int64) io.Reader { return &content{left: n} }

type content struct {
	left int64
	at   int
}

func (s *content) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), s.left)], block[s.at:])
	s.left -= int64(n)
	s.at = (s.at + n) % blockSize
	return n, nil
}

// send writes n bytes of content, a block a write.
func (c *Conn) send(n int64) error {
	for ; n > 0; n -= blockSize {
		if _, err := c.Write(blockBytes[:min(n, blockSize)]); err != nil {
			return err
		}
	}
	return nil
}

// sendFrames writes n bytes of content, a block a frame and a write.
func (c *Conn) sendFrames(n int64) {
	for ; n > 0; n -= blockSize {
		frame := blockFrame
		if n < blockSize {
			frame = []byte(Frame(1, block[:n]))
		}
		if _, err := c.Write(frame); err != nil {
			return
		}
	}
}

// sendChunks writes n bytes of content, a block a chunk and a write.
func (c *Conn) sendChunks(n int64) error {
	for ; n >= blockSize; n -= blockSize {
		if _, err := c.Write(blockChunk); err != nil {
			return err
		}
	}
	if n > 0 {
		return c.Chunk(block[:n])
	}
	return nil
}

// export sends as many bytes as its argument says, "export-4m" or "4m". Modes:
// length (with Content-Length), plain (to the end of the connection), short
// (Content-Length, hangs up in the middle), truncated (chunked, hangs up
// instead of the last chunk), trailers.
func export(c *Conn) {
	const tar = "application/x-tar"
	mode, argument := c.mode()
	if argument == "" {
		argument = mode
	}
	n := size(argument)
	switch mode {
	case "length", "short":
		io.WriteString(c, Head(200, tar, fmt.Sprintf("Content-Length: %d", n)))
		if mode == "short" {
			c.send(n / 2)
			c.Hangup()
			return
		}
		c.send(n)
	case "plain":
		io.WriteString(c, Head(200, tar, "Connection: close"))
		c.send(n)
		c.Hangup()
	case "truncated":
		c.StartChunks(tar)
		c.sendChunks(n)
		c.Hangup()
	case "trailers":
		c.StartChunks(tar, "Trailer: X-Sum")
		c.sendChunks(n)
		c.EndChunks("X-Sum: 12345")
	default:
		c.StartChunks(tar)
		if c.sendChunks(n) != nil {
			c.Hangup()
			return
		}
		c.EndChunks()
	}
}

// events flushes its head. ?since=N sends N events and is silent then;
// ?until=N ends after N events. Larger numbers are times, as to a real Engine.
func events(c *Conn) {
	c.StartChunks("application/json")
	n := 0
	if c.query != "" {
		n, _ = strconv.Atoi(c.Query("since") + c.Query("until"))
	}
	if n > maxEvents {
		n = 0
	}
	for i := range n {
		if c.Chunk(fmt.Sprintf(`{"Type":"container","Action":"start","Actor":{"ID":"%064x"},"time":%d}`+"\n", i, i)) != nil {
			break
		}
	}
	if strings.Contains(c.query, "until=") {
		c.EndChunks()
		return
	}
	c.WaitGone()
}

// wait flushes its head and ends after its argument, "wait-5ms"; forever ends
// with the client.
func wait(c *Conn) {
	io.Copy(io.Discard, c.Body())
	c.StartChunks("application/json")
	mode, argument := c.mode()
	if mode == "forever" {
		c.WaitGone()
		return
	}
	c.Sleep(duration(argument, 50*time.Millisecond))
	c.Chunk(`{"StatusCode":0}` + "\n")
	c.EndChunks()
}

// logs sends two framed lines; with ?follow=1 it is silent then.
func logs(c *Conn) {
	c.StartChunks(multiplexed)
	c.Chunk(Frame(1, "out\n"))
	c.Chunk(Frame(2, "err\n"))
	if c.Query("follow") == "1" || c.Query("follow") == "true" {
		c.WaitGone()
		return
	}
	c.EndChunks()
}

// stats sends a line every 10 ms until the client has gone.
func stats(c *Conn) {
	c.StartChunks("application/json")
	for c.Chunk(`{"read":"2025-10-01T12:00:00Z","num_procs":1}`+"\n") == nil && c.Query("stream") != "0" && c.Query("stream") != "false" {
		c.Sleep(10 * time.Millisecond)
	}
	c.EndChunks()
}

// Frame is data as the Engine multiplexes it; stream is 1 for stdout, 2 for
// stderr.
func Frame(stream byte, data string) string {
	n := len(data)
	return string([]byte{stream, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + data
}

// load reads an archive and tells its size. One that begins with "early" is
// refused with 400 while the rest is under way.
func load(c *Conn) {
	var first [5]byte
	n, err := io.ReadFull(c.Body(), first[:])
	if string(first[:n]) == "early" {
		c.Reply(400, "application/json", `{"message":"enginetest: not an archive"}`+"\n", "Connection: close")
		c.Linger()
		return
	}
	var rest int64
	if err == nil {
		rest, err = io.Copy(io.Discard, c.Body())
	}
	if err != nil && !c.body.done {
		c.Hangup()
		return
	}
	c.JSON(200, fmt.Sprintf(`{"stream":"Loaded %d bytes\n"}`, int64(n)+rest))
}

// duplex answers a line for each piece of the body as it is read, as build and
// import do; a pull, which has no body, gets its few lines at once.
func duplex(c *Conn) {
	c.StartChunks("application/json")
	c.Chunk(`{"status":"begun"}` + "\n")
	buf := make([]byte, blockSize)
	for {
		n, err := c.Body().Read(buf)
		if n > 0 {
			c.Chunk(fmt.Sprintf(`{"status":"read","progressDetail":{"current":%d}}`+"\n", n))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			c.Hangup()
			return
		}
	}
	c.Chunk(`{"status":"done"}` + "\n")
	c.EndChunks()
}

func createExec(c *Conn) {
	readThen(201, fmt.Sprintf(`{"Id":%q}`, c.Var("name")))(c)
}

// startExec is attach for an exec, whose id is its container's name; Detach
// answers at once.
func startExec(c *Conn) {
	b, err := io.ReadAll(c.Body())
	if err != nil {
		c.Hangup()
		return
	}
	if strings.Contains(string(b), `"Detach":true`) {
		c.Reply(200, "", "")
		return
	}
	attach(c)
}

// attach hijacks, and then does what the name says (see hijack). refuse answers
// 409 and goes on with HTTP; error is how attach really fails: text without a
// length, ended by a half-close; hangup answers nothing.
func attach(c *Conn) {
	switch mode, _ := c.mode(); mode {
	case "refuse":
		c.Error(409, "container is paused, unpause the container before attach")
	case "error":
		io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Type: "+rawStream+"\r\n\r\nNo such container: error\r\n")
		c.ended = true
		c.CloseWrite()
		c.WaitGone()
	case "hangup":
		c.Hangup()
	default:
		hijack(mode)(c)
	}
}

// hijack takes the connection over. Modes: echo until the client's half-close
// (any other name too), tty (as echo, but the client's half-close ends both
// directions at once), sink (counts what comes and tells its size at the end),
// source-4m (sends that much and half-closes), frames-4m (the same, in frames
// of 32 KiB as stdout's), silent, and greet (sends bytes in the same write as
// the head, then echoes). Others' bytes are not framed, whatever the content
// type says.
func hijack(mode string) Behaviour {
	return func(c *Conn) {
		contentType := rawStream
		if c.framing.upgrade && c.Version >= "1.42" && mode != "tty" {
			contentType = multiplexed
		}
		first := ""
		if mode == "greet" {
			first = "hello\n"
		}
		c.Hijack(contentType, first)
		switch mode {
		case "sink":
			fmt.Fprintf(c, "%d\n", c.drain())
		case "source":
			_, argument := c.mode()
			c.send(size(argument))
		case "frames":
			_, argument := c.mode()
			c.sendFrames(size(argument))
		case "silent":
		default:
			io.Copy(c, c)
		}
		if mode == "tty" {
			return
		}
		if mode != "silent" {
			c.CloseWrite()
		}
		// The Engine closes its sending side only, and leaves the rest to the client.
		io.Copy(io.Discard, c)
	}
}

// drain reads to the end in large pieces, so that a benchmark's sink is no
// bottleneck, and returns the bytes read.
func (c *Conn) drain() (n int64) {
	for buf := make([]byte, bulkSize); ; {
		k, err := c.Read(buf)
		n += int64(k)
		if err != nil {
			return n
		}
	}
}

// websocket shakes hands and echoes the frames as they come, still masked.
func websocket(c *Conn) {
	key := c.Header("Sec-Websocket-Key")
	if key == "" {
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\nnot websocket protocol")
		c.Hangup()
		return
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	c.stream = true
	io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	io.Copy(c, c)
}
