package terminal

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// clientTime bounds everything that a test waits for.
const clientTime = 20 * time.Second

// site is a server with a door on loopback. Its users are whom the bearer token
// names; what they may do is in rights.
type testSite struct {
	t      testing.TB
	server *Server
	url    string // http://127.0.0.1:PORT
	engine *standIn

	mu      sync.Mutex
	rights  map[string][]string // by user; "*" is everything
	records []audit.Record
}

// bearer knows callers by their token, which is their name.
type bearer struct{}

func (bearer) Name() string { return "token" }

func (bearer) Identify(r *http.Request) (*identity.Identity, error) {
	name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, nil
	}
	return &identity.Identity{User: name, Method: "token"}, nil
}

// newTestSite serves the programs of a stand-in Engine; alice and bob may
// everything but administer, root everything.
func newTestSite(t testing.TB, change ...func(*Options)) *testSite {
	t.Helper()
	s := &testSite{t: t, engine: newStandIn(t), rights: map[string][]string{
		"alice": {actionOpen, actionShare, actionRecord, "exec.create", "exec.start", "container.attach", "container.create"},
		"bob":   {actionOpen, actionShare, actionRecord, "exec.create", "exec.start", "container.attach", "container.create"},
		"root":  {"*"},
	}}
	o := Options{
		Dial:    func(ctx context.Context, _ *identity.Identity) (net.Conn, error) { return s.engine.dial(ctx) },
		May:     func(who *identity.Identity, action, _ string) bool { return s.may(who.User, action) },
		Roles:   func(who *identity.Identity) []string { return who.Roles },
		Engines: func() []string { return []string{"local"} },
		Sinks:   []audit.Sink{s},
	}
	for _, c := range change {
		c(&o)
	}
	s.serve(o)
	return s
}

func (s *testSite) serve(o Options) {
	s.t.Helper()
	var err error
	if s.server, err = New(o); err != nil {
		s.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String()
	h, err := s.server.Handler(Listener{Address: "tcp://" + l.Addr().String(), Sources: []identity.Source{bearer{}}, API: http.NotFoundHandler()})
	if err != nil {
		s.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(audit.Middleware("test", s)(h))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), clientTime)
		defer cancel()
		s.server.manager.Shutdown(ctx)
		server.CloseClientConnections()
		server.Close()
	})
}

func (s *testSite) may(user, action string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.rights[user], "*") || slices.Contains(s.rights[user], action)
}

// allow replaces a user's rights.
func (s *testSite) allow(user string, actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rights[user] = actions
}

// Record keeps records, as a sink.
func (s *testSite) Record(r *audit.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, *r)
}

// events gives the records of a session's events as "event user action reason".
func (s *testSite) events(session string) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		if r.Session == session && r.Event != "" {
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Event, r.User, r.Action, r.Reason)))
		}
	}
	return all
}

// call sends a request with a JSON body, unless that is nil, and gives the
// status and the answer.
func (s *testSite) call(user, method, path string, body any) (int, map[string]any) {
	s.t.Helper()
	status, text := s.callRaw(user, method, path, body)
	var answer map[string]any
	if len(text) > 0 && text[0] == '{' {
		if err := json.Unmarshal(text, &answer); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return status, answer
}

func (s *testSite) callRaw(user, method, path string, body any) (int, []byte) {
	s.t.Helper()
	var data io.Reader
	if text, ok := body.(string); ok {
		data = strings.NewReader(text)
	} else if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		data = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, s.url+path, data)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+user)
	if data != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.Header.Get(requestID) == "" {
		s.t.Errorf("%s %s: no %s", method, path, requestID)
	}
	return resp.StatusCode, text
}

// open opens a session and gives its id and ticket.
func (s *testSite) open(user string, body map[string]any) (id, ticket string) {
	s.t.Helper()
	status, answer := s.call(user, "POST", "/api/terminal/sessions", body)
	if status != http.StatusCreated {
		s.t.Fatalf("opening %v: %d %v", body, status, answer)
	}
	return answer["id"].(string), answer["ticket"].(string)
}

// exec opens a session with a command in box.
func (s *testSite) exec(user string, tty bool, cmd ...string) (id, ticket string) {
	s.t.Helper()
	return s.open(user, map[string]any{"mode": "exec", "container": "box", "cmd": cmd, "tty": tty, "cols": 80, "rows": 24})
}

// ticket asks for a ticket.
func (s *testSite) ticket(user, id string, body map[string]any) string {
	s.t.Helper()
	status, answer := s.call(user, "POST", "/api/terminal/sessions/"+id+"/tickets", body)
	if status != http.StatusCreated {
		s.t.Fatalf("asking for a ticket: %d %v", status, answer)
	}
	return answer["ticket"].(string)
}

// testClient is a client of the protocol.
type testClient struct {
	t    testing.TB
	conn *ws.Conn

	welcome Welcome
	in      bytes.Buffer
	next    int64 // the offset behind what came
	out     bytes.Buffer
	errOut  bytes.Buffer
	keep    bool // keep the output
	acked   int64
	noAcks  bool
	faults  []Fault
	notices []map[string]any
	replays []Replay
	exit    map[string]any
	beats   int
	resized [2]uint16
}

// errDial is an answer to a handshake that is no websocket.
type errDial struct {
	status int
	body   string
}

func (e *errDial) Error() string { return fmt.Sprintf("%d %s", e.status, e.body) }

// dial opens a websocket below the site.
func (s *testSite) dial(user, path string, protocols ...string) (*ws.Conn, error) {
	d := ws.Dialer{Subprotocols: protocols, HandshakeTimeout: clientTime, ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10}
	header := http.Header{"Origin": {s.url}}
	if user != "" {
		header.Set("Authorization", "Bearer "+user)
	}
	conn, resp, err := d.Dial("ws"+strings.TrimPrefix(s.url, "http")+path, header)
	if err != nil {
		if resp != nil {
			body, _ := io.ReadAll(resp.Body)
			return nil, &errDial{resp.StatusCode, string(body)}
		}
		return nil, err
	}
	return conn, nil
}

// socket opens a session's websocket and says nothing.
func (s *testSite) socket(user, id, ticket string) *testClient {
	s.t.Helper()
	conn, err := s.dial(user, "/api/terminal/socket?session="+id, Protocol, "ticket."+ticket)
	if err != nil {
		s.t.Fatal(err)
	}
	if conn.Subprotocol() != Protocol {
		s.t.Errorf("the subprotocol is %q", conn.Subprotocol())
	}
	s.t.Cleanup(func() { conn.Close() })
	return &testClient{t: s.t, conn: conn, keep: true}
}

// attach opens a session's websocket and says HELLO.
func (s *testSite) attach(user, id, ticket string, from int64) *testClient {
	s.t.Helper()
	c := s.socket(user, id, ticket)
	c.hello(from)
	c.until("WELCOME", func() bool { return c.welcome.Session != "" })
	return c
}

func (c *testClient) hello(from int64) {
	c.t.Helper()
	c.send(frameHello, fmt.Appendf(nil, `{"resume_from":%d,"cols":80,"rows":24}`, from))
}

// send sends a frame.
func (c *testClient) send(t frameType, body []byte) {
	c.t.Helper()
	if err := c.trySend(t, body); err != nil {
		c.t.Fatalf("sending %#x: %v", byte(t), err)
	}
}

func (c *testClient) trySend(t frameType, body []byte) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(clientTime))
	return c.conn.WriteMessage(ws.BinaryMessage, append([]byte{byte(t)}, body...))
}

func (c *testClient) typeText(text string) { c.send(frameStdin, []byte(text)) }

// read reads a message, which lasts until the next one.
func (c *testClient) read() (kind int, p []byte, err error) {
	kind, r, err := c.conn.NextReader()
	if err != nil {
		return 0, nil, err
	}
	c.in.Reset()
	_, err = c.in.ReadFrom(r)
	return kind, c.in.Bytes(), err
}

// step reads one frame and does what a client does with it.
func (c *testClient) step() error {
	_ = c.conn.SetReadDeadline(time.Now().Add(clientTime))
	kind, p, err := c.read()
	if err != nil {
		return err
	}
	if kind != ws.BinaryMessage || len(p) == 0 {
		return fmt.Errorf("a message of kind %d with %d bytes came", kind, len(p))
	}
	if c.exit != nil {
		return fmt.Errorf("frame %#x came after EXIT", p[0])
	}
	body := p[1:]
	switch t := frameType(p[0]); t {
	case frameWelcome:
		if c.welcome.Session != "" {
			return errors.New("WELCOME came twice")
		}
		if err := json.Unmarshal(body, &c.welcome); err != nil {
			return err
		}
		c.next = int64(c.welcome.Offset)
		c.acked = c.next
		return nil
	case frameStdout, frameStderr:
		return c.output(t, body)
	case frameReplay:
		var r Replay
		if err := json.Unmarshal(body, &r); err != nil {
			return err
		}
		c.replays = append(c.replays, r)
		if r.State == "begin" && r.Truncated {
			c.next = int64(r.From)
		}
	case frameExit:
		return json.Unmarshal(body, &c.exit)
	case frameError:
		var f Fault
		if err := json.Unmarshal(body, &f); err != nil {
			return err
		}
		c.faults = append(c.faults, f)
	case frameNotice:
		var n map[string]any
		if err := json.Unmarshal(body, &n); err != nil {
			return err
		}
		c.notices = append(c.notices, n)
	case frameHeartbeat:
		if len(body) != 8 {
			return fmt.Errorf("HEARTBEAT has %d bytes", len(body))
		}
		c.beats++
	case frameResize:
		c.resized = [2]uint16{binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])}
	default:
		return fmt.Errorf("unknown frame %#x", p[0])
	}
	if c.welcome.Session == "" && frameType(p[0]) != frameError {
		return fmt.Errorf("frame %#x came before WELCOME", p[0])
	}
	return nil
}

func (c *testClient) output(t frameType, body []byte) error {
	if len(body) < 8 {
		return errors.New("an output frame is too short")
	}
	offset, data := int64(binary.BigEndian.Uint64(body)), body[8:]
	if offset != c.next {
		return fmt.Errorf("output at %d, expected at %d", offset, c.next)
	}
	c.next += int64(len(data))
	if c.keep {
		if t == frameStderr {
			c.errOut.Write(data)
		} else {
			c.out.Write(data)
		}
	}
	if !c.noAcks && c.next-c.acked >= int64(c.welcome.AckEvery) {
		return c.ack()
	}
	return nil
}

func (c *testClient) ack() error {
	c.acked = c.next
	return c.trySend(frameAck, binary.BigEndian.AppendUint64(nil, uint64(c.next)))
}

// until reads frames until something is true.
func (c *testClient) until(what string, done func() bool) {
	c.t.Helper()
	for !done() {
		if err := c.step(); err != nil {
			c.t.Fatalf("waiting for %s: %v (faults %+v, output %.200q)", what, err, c.faults, c.out.String())
		}
	}
}

// untilText waits for output.
func (c *testClient) untilText(text string) {
	c.t.Helper()
	c.until(text, func() bool { return bytes.Contains(c.out.Bytes(), []byte(text)) })
}

// closed reads until the websocket is closed and gives the code.
func (c *testClient) closed() (code int, reason string) {
	c.t.Helper()
	for {
		err := c.step()
		var bye *ws.CloseError
		if errors.As(err, &bye) {
			return bye.Code, bye.Text
		}
		if err != nil {
			c.t.Fatalf("waiting for the end: %v", err)
		}
	}
}

func pause() { time.Sleep(20 * time.Millisecond) }
