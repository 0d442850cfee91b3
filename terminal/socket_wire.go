package terminal

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	ws "github.com/gorilla/websocket"
)

// Times of a websocket.
const (
	beatEvery   = 20 * time.Second // pings: reverse proxies drop what is silent for 30 s
	aliveTime   = 50 * time.Second // without a sign of the peer, two pings long
	messageTime = 60 * time.Second // between two pieces of one message
	writeTime   = 30 * time.Second // for one message to be taken; who is slower is cut
	closeTime   = 5 * time.Second  // for the peer to say goodbye too
	lingerTime  = 2 * time.Second  // for what is under way after a fault, so that the close code arrives
)

// Sizes of a websocket. What idle ones hold matters: buffers to write are
// shared, and the one to read is small, since long messages go past it.
const (
	readBuffer  = 1 << 10
	maxPiece    = 64 << 10 // bytes of output in one message
	writeBuffer = maxPiece + 64
	maxLinger   = 8 << 20
)

// requestID is the header by which the audit names a request's record.
const requestID = "Moorgate-Request-Id"

var upgrader = ws.Upgrader{
	HandshakeTimeout: writeTime,
	ReadBufferSize:   readBuffer,
	WriteBufferSize:  writeBuffer,
	WriteBufferPool:  &sync.Pool{},
	CheckOrigin:      func(*http.Request) bool { return true }, // the door has judged it
	Error: func(w http.ResponseWriter, r *http.Request, status int, reason error) {
		fail(w, r, newError(status, "open it as a websocket, version 13", "%s", strings.TrimPrefix(reason.Error(), "websocket: ")))
	},
}

// wire is a websocket with what every one of ours needs: pings, deadlines, and
// bounds on what the peer can make us do. One goroutine reads, any may write.
type wire struct {
	conn  *ws.Conn
	meter *meter
	rtt   func(time.Duration) // nil or told how long a ping took
	beats func() []byte       // nil or makes the message that goes with each ping

	mu      sync.Mutex // held while a message is written
	beat    *time.Timer
	pinged  atomic.Int64 // when the last ping was sent, in nanoseconds; 0: its pong is here
	closing atomic.Bool  // a close frame was sent
	in      message
	reading bool      // a message is being read; of the reading goroutine
	until   time.Time // reading ends then, whatever comes; zero is never
	out     atomic.Int64
}

// upgrade makes a request a websocket, with the subprotocol if one is named. It
// gives nil when it has answered otherwise.
func upgrade(w http.ResponseWriter, r *http.Request, protocol string) *wire {
	header := http.Header{}
	if id := w.Header().Get(requestID); id != "" {
		header.Set(requestID, id)
	}
	if protocol != "" {
		header.Set("Sec-Websocket-Protocol", protocol)
	}
	c := &wire{}
	conn, err := upgrader.Upgrade(&meteredWriter{ResponseWriter: w, wire: c}, r, header)
	if err != nil {
		return nil // answered, or nobody is there any more
	}
	c.conn = conn
	conn.SetReadLimit(maxMessage)
	conn.SetPongHandler(c.pong)
	conn.SetPingHandler(c.ping)
	conn.SetCloseHandler(c.closed)
	c.in.wire = c
	return c
}

// live starts the pings. beats and rtt must be set before.
func (c *wire) live() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beat = time.AfterFunc(beatEvery, c.sendBeat)
}

func (c *wire) sendBeat() {
	// While a message is on its way a ping would tell nothing, and writing has
	// a deadline of its own.
	if c.mu.TryLock() {
		err := c.putBeat()
		c.mu.Unlock()
		if err != nil {
			_ = c.conn.Close() // the reader ends the rest
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.beat != nil && !c.closing.Load() {
		c.beat.Reset(beatEvery)
	}
}

func (c *wire) putBeat() error {
	if c.closing.Load() {
		return nil
	}
	now := time.Now()
	c.pinged.Store(now.UnixNano())
	err := c.conn.WriteControl(ws.PingMessage, nil, now.Add(writeTime))
	if err == nil && c.beats != nil {
		err = c.put(ws.BinaryMessage, c.beats(), nil)
	}
	if errors.Is(err, ws.ErrCloseSent) {
		return nil
	}
	return err
}

func (c *wire) pong(string) error {
	if at := c.pinged.Swap(0); at != 0 && c.rtt != nil {
		c.rtt(time.Since(time.Unix(0, at)))
	}
	return c.alive()
}

func (c *wire) ping(data string) error {
	err := c.conn.WriteControl(ws.PongMessage, []byte(data), time.Now().Add(writeTime))
	if err != nil && !errors.Is(err, ws.ErrCloseSent) {
		return err
	}
	return c.alive()
}

// closed says goodbye too.
func (c *wire) closed(code int, _ string) error {
	if code == ws.CloseNoStatusReceived {
		code = ws.CloseNormalClosure
	}
	c.close(code, "")
	return nil
}

// alive gives the peer more time, unless it is in the midst of a message: one
// that comes in pieces for ever must not live on pongs.
func (c *wire) alive() error {
	if c.reading {
		return nil
	}
	return c.waitFor(aliveTime)
}

// waitFor bounds the next read; after a close frame was sent the time for the
// peer's runs whatever it sends.
func (c *wire) waitFor(d time.Duration) error {
	if c.closing.Load() {
		return nil
	}
	at := time.Now().Add(d)
	if !c.until.IsZero() && c.until.Before(at) {
		at = c.until
	}
	err := c.conn.SetReadDeadline(at)
	if c.closing.Load() { // meanwhile
		err = c.conn.SetReadDeadline(time.Now().Add(closeTime))
	}
	return err
}

// next waits for a message. What is left of the one before is dropped.
func (c *wire) next() (kind int, body *message, err error) {
	c.reading = false
	if err := c.alive(); err != nil {
		return 0, nil, err
	}
	kind, r, err := c.conn.NextReader()
	if err != nil {
		return 0, nil, err
	}
	c.reading = true
	c.in.Reader = r
	return kind, &c.in, c.waitFor(messageTime)
}

// message is what is left to read of a message.
type message struct {
	io.Reader
	wire *wire
}

func (m *message) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if n > 0 {
		m.wire.meter.idle -= float64(n)
		if late := m.wire.waitFor(messageTime); err == nil {
			err = late
		}
	}
	return n, err
}

// write sends one message, made of head and body, within writeTime.
func (c *wire) write(kind int, head, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.put(kind, head, body)
}

func (c *wire) put(kind int, head, body []byte) error {
	if c.closing.Load() {
		return ws.ErrCloseSent
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeTime)) // never fails
	w, err := c.conn.NextWriter(kind)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	if len(body) > 0 {
		if _, err := w.Write(body); err != nil {
			return err
		}
	}
	c.out.Add(int64(len(head) + len(body)))
	return w.Close()
}

// maxReason is how many bytes of reason a close frame may hold.
const maxReason = 123

// close says goodbye; the reader then ends when the peer has said so too, or
// after closeTime.
func (c *wire) close(code int, reason string) {
	if c.closing.Swap(true) {
		return
	}
	text := cutText(reason, maxReason)
	_ = c.conn.WriteControl(ws.CloseMessage, ws.FormatCloseMessage(code, text), time.Now().Add(closeTime))
	_ = c.conn.SetReadDeadline(time.Now().Add(closeTime))
}

// drain reads until the peer has said goodbye.
func (c *wire) drain() {
	for {
		if _, _, err := c.conn.NextReader(); err != nil {
			c.linger(err)
			return
		}
	}
}

// linger reads on for a moment after a fault in what the peer sent: closing at
// once would reset the connection, and the close code with it.
func (c *wire) linger(err error) {
	var bye *ws.CloseError
	var broken net.Error
	if errors.As(err, &bye) || errors.As(err, &broken) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return
	}
	conn := c.meter.Conn
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, conn, maxLinger)
}

// end closes the connection.
func (c *wire) end() {
	_ = c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.beat != nil {
		c.beat.Stop()
		c.beat = nil
	}
}

// cutText shortens a text to at most most bytes, at a character's border.
func cutText(s string, most int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= most {
		return s
	}
	return s[:most-incomplete([]byte(s[:most]))]
}

// What a peer may send that is no message's body: heads of frames, empty
// frames, pings. Beyond it reading slows down to the rate, so that a flood of
// them costs the peer more than us, and no one is cut who means well: a paste
// that comes key by key, acknowledgements of hundreds of MiB a second.
const (
	idleBytesRate  = 128 << 10 // a second
	idleBytesBurst = 512 << 10
	maxPause       = time.Second
)

// meter is a connection that counts what is read, and slows a flood down. One
// goroutine reads.
type meter struct {
	net.Conn
	read int64
	idle float64 // bytes that were no message's body, less what the rate allows
	at   time.Time
}

func (m *meter) Read(p []byte) (int, error) {
	now := time.Now()
	if m.idle > 0 && !m.at.IsZero() {
		m.idle = max(0, m.idle-now.Sub(m.at).Seconds()*idleBytesRate)
	}
	m.at = now
	if over := m.idle - idleBytesBurst; over > 0 {
		time.Sleep(min(time.Duration(over/idleBytesRate*float64(time.Second)), maxPause))
	}
	n, err := m.Conn.Read(p)
	m.read += int64(n)
	m.idle += float64(n)
	return n, err
}

// meteredWriter gives the wire's meter for the connection.
type meteredWriter struct {
	http.ResponseWriter
	wire *wire
}

func (w *meteredWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *meteredWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.wire.meter = &meter{Conn: conn}
	if n := buf.Reader.Buffered(); n > 0 { // sent ahead of our answer
		early, _ := buf.Reader.Peek(n)
		w.wire.meter.Conn = &earlyConn{Conn: conn, early: append([]byte(nil), early...)}
		buf.Reader.Reset(nil)
	}
	return w.wire.meter, buf, nil
}

// earlyConn gives what was read too early first.
type earlyConn struct {
	net.Conn
	early []byte
}

func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
