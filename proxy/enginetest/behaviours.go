package enginetest

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// APIVersion is the newest API version that the Engine says it speaks: that of
// release 28.5.
const APIVersion = "1.51"

// exact and builtin are what the Engine does by itself. Where a name stands in
// the path it chooses a mode, "MODE-ARGUMENT" as in "source-64m"; names that are
// no mode do what the real Engine would do with a container that runs `cat`.
var (
	exact   = map[string]Behaviour{}
	builtin routes
)

func init() {
	for pattern, b := range map[string]Behaviour{
		"GET /_ping":              raw(pingHead + "Content-Length: 2\r\n\r\nOK"),
		"HEAD /_ping":             raw(pingHead + "Content-Length: 0\r\n\r\n"),
		"GET /version":            answer(versionJSON),
		"GET /info":               answer(`{"ID":"enginetest","ServerVersion":"28.5.2","SystemTime":"2025-10-01T12:00:00Z","OSType":"linux","Architecture":"x86_64"}`),
		"GET /images/json":        answer(`[{"Id":"sha256:` + strings.Repeat("e", 64) + `","RepoTags":["busybox:latest"]}]`),
		"GET /networks":           networks,
		"GET /volumes":            answer(`{"Volumes":[],"Warnings":null}`),
		"GET /system/df":          answer(`{"LayersSize":0,"Images":[],"Containers":[],"Volumes":[],"BuildCache":[]}`),
		"POST /auth":              readThen(200, `{"IdentityToken":"","Status":"Login Succeeded"}`),
		"POST /images/load":       load,
		"POST /build":             duplex,
		"POST /session":           hijack("echo"),
		"POST /grpc":              hijack("echo"),
		"GET /events":             events,
		"POST /images/create":     duplex,
		"POST /containers/create": create,
		"GET /containers/json":    containers,
		"POST /volumes/create":    createVolume,
		"GET /services":           noSwarm,
		"GET /secrets":            noSwarm,
		"GET /configs":            noSwarm,
	} {
		exact[pattern] = b
	}
	for pattern, b := range map[string]Behaviour{
		"GET /containers/{name}/json":      inspect,
		"GET /containers/{name}/logs":      logs,
		"GET /containers/{name}/stats":     stats,
		"GET /containers/{name}/export":    export,
		"GET /containers/{name}/archive":   export,
		"HEAD /containers/{name}/archive":  archiveStat,
		"GET /networks/{name}":             inspectNetwork,
		"PUT /containers/{name}/archive":   readThen(200, ""),
		"GET /images/{name...}/get":        export,
		"GET /images/{name...}/json":       inspectImage,
		"POST /images/{name...}/push":      readThen(200, `{"status":"pushed"}`),
		"POST /containers/{name}/start":    start,
		"POST /containers/{name}/stop":     readThen(204, ""),
		"POST /containers/{name}/kill":     readThen(204, ""),
		"DELETE /containers/{name}":        readThen(204, ""),
		"POST /containers/{name}/wait":     wait,
		"POST /containers/{name}/exec":     createExec,
		"POST /containers/{name}/attach":   attach,
		"GET /containers/{name}/attach/ws": websocket,
		"POST /exec/{name}/start":          startExec,
		"GET /exec/{name}/json":            answer(`{"ID":"x","Running":false,"ExitCode":0,"Pid":0}`),
		"POST /exec/{name}/resize":         readThen(200, ""),
	} {
		builtin = append(builtin, parseRoute(pattern, b))
	}
}

// mode parts a name into its mode and argument: "wait-5ms" is "wait" and "5ms".
func (c *Conn) mode() (mode, argument string) {
	name := c.Var("name")
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// size reads "64", "64k", "64m" or "64g"; without a number it is 1 MiB.
func size(s string) int64 {
	unit := int64(1)
	switch {
	case strings.HasSuffix(s, "k"):
		unit = 1 << 10
	case strings.HasSuffix(s, "m"):
		unit = 1 << 20
	case strings.HasSuffix(s, "g"):
		unit = 1 << 30
	}
	n, err := strconv.ParseInt(strings.TrimRight(s, "kmg"), 10, 64)
	if err != nil {
		return 1 << 20
	}
	return n * unit
}

// duration reads "5ms"; without one it is fallback.
func duration(s string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(s); err == nil {
		return d
	}
	return fallback
}

// raw writes the same bytes to everyone.
func raw(s string) Behaviour {
	answer := []byte(s)
	return func(c *Conn) { c.Write(answer) }
}

func answer(json string) Behaviour {
	return raw(Head(200, "application/json", fmt.Sprintf("Content-Length: %d", len(json)+1)) + json + "\n")
}

// readThen answers once the body is read; without text the answer is empty.
func readThen(status int, json string) Behaviour {
	return func(c *Conn) {
		if _, err := io.Copy(io.Discard, c.Body()); err != nil {
			c.Hangup()
			return
		}
		switch {
		case json != "":
			c.JSON(status, json)
		case status == 204 || status == 304:
			io.WriteString(c, Head(status, ""))
		default:
			c.Reply(status, "", "")
		}
	}
}

// create answers 409 to ?name=taken once the body is read, and 400 to
// ?name=unread without reading it.
func create(c *Conn) {
	name := ""
	if c.query != "" {
		name = c.Query("name")
	}
	switch name {
	case "unread":
		c.Error(400, "enginetest: body not read")
	case "taken":
		readThen(409, `{"message":"Conflict. The container name \"/taken\" is already in use"}`)(c)
	default:
		created(c)
	}
}

var created = readThen(201, `{"Id":"`+strings.Repeat("c", 64)+`","Warnings":[]}`)

// start refuses a body as the Engine does, and says 304 of one that is named
// running.
func start(c *Conn) {
	switch {
	case c.framing.chunked || c.framing.length > 7:
		readThen(400, `{"message":"starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"}`)(c)
	case c.Var("name") == "running":
		readThen(304, "")(c)
	default:
		readThen(204, "")(c)
	}
}

// inspect has the modes missing, slow-1s (before the head), bighead (32 KiB of
// header fields), redirect (301), notmodified (304), hangup (before the head),
// truncated (half of the Content-Length), nolength (to the end of the
// connection), idle (hangs up after a full answer, without saying so) and
// trailers.
func inspect(c *Conn) {
	const (
		id   = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
		rest = `"Image":"sha256:` + id + `","State":{"Running":true},` +
			`"Config":{"Tty":false,"Labels":{"moorgate.image":"sha256:` + id + `","moorgate.owner":"` + Owner + `"}}}`
		body = `{"Id":"` + id + `",` + rest
	)
	mode, argument := c.mode()
	switch mode {
	case "missing":
		c.Error(404, "No such container: missing")
	case "slow":
		c.Sleep(duration(argument, 200*time.Millisecond))
		c.JSON(200, body)
	case "bighead":
		var fields []string
		for i := range 32 {
			fields = append(fields, fmt.Sprintf("X-Fill-%02d: %s", i, strings.Repeat("f", 1024-len("X-Fill-00: \r\n"))))
		}
		c.Reply(200, "application/json", body, fields...)
	case "redirect":
		c.Reply(301, "", "", "Location: /v"+APIVersion+"/containers/x/json")
	case "notmodified":
		io.WriteString(c, Head(304, "application/json"))
	case "hangup":
		c.Hangup()
	case "truncated":
		io.WriteString(c, Head(200, "application/json", fmt.Sprintf("Content-Length: %d", len(body)))+body[:len(body)/2])
		c.Hangup()
	case "nolength":
		io.WriteString(c, Head(200, "application/json", "Connection: close")+body)
		c.Hangup()
	case "idle":
		c.JSON(200, body)
		c.Hangup()
	case "trailers":
		c.StartChunks("application/json", "Trailer: X-Sum")
		c.Chunk(body)
		c.EndChunks("X-Sum: 12345")
	default: // the id is the name, so that whoever sends ids sends the mode on
		c.JSON(200, fmt.Sprintf(`{"Id":%q,`, c.Var("name"))+rest)
	}
}

// inspectImage has every image, all the same one, but for those called new.
func inspectImage(c *Conn) {
	name := c.Var("name")
	if strings.Contains(name, "/new:") {
		c.Error(404, "No such image: "+name)
		return
	}
	if strings.HasPrefix(name, "sha256:") {
		name = "busybox:latest"
	}
	c.JSON(200, fmt.Sprintf(`{"Id":"sha256:%s","RepoTags":[%q]}`, strings.Repeat("e", 64), name))
}

func noSwarm(c *Conn) { c.Error(503, "This node is not a swarm manager.") }

func archiveStat(c *Conn) {
	io.WriteString(c, Head(200, "", "X-Docker-Container-Path-Stat: eyJuYW1lIjoiZXRjIn0="))
}

const versionJSON = `{"Version":"28.5.2","ApiVersion":"` + APIVersion + `","MinAPIVersion":"1.24","Os":"linux","Arch":"amd64"}`

var pingHead = "HTTP/1.1 200 OK\r\nApi-Version: " + APIVersion + "\r\nBuilder-Version: 2\r\n" +
	"Cache-Control: no-cache, no-store, must-revalidate\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Docker-Experimental: false\r\nOstype: linux\r\nPragma: no-cache\r\nServer: Docker/28.5.2 (linux)\r\n" +
	"Swarm: inactive\r\nDate: Wed, 01 Oct 2025 12:00:00 GMT\r\n"
