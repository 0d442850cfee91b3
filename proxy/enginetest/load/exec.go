package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Container creates and starts a container that sleeps, from the first image
// that the Engine at socket has and that can; remove takes it away again.
func Container(socket string) (id string, remove func(), err error) {
	b, err := Ask(socket, Request("GET", "/v1.41/images/json", "", ""))
	if err != nil {
		return "", nil, err
	}
	var images []struct{ ID string }
	if err := json.Unmarshal(b, &images); err != nil {
		return "", nil, err
	}
	err = errors.New("the Engine has no image to make a container of")
	for _, image := range images {
		if id, err = container(socket, image.ID); err == nil {
			return id, func() { discard(socket, id) }, nil
		}
	}
	return "", nil, fmt.Errorf("starting a container: %w", err)
}

func container(socket, image string) (id string, err error) {
	body := fmt.Sprintf(`{"Image":%q,"Entrypoint":[],"Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"none"}}`, image)
	if id, err = made(socket, "/v1.41/containers/create", body); err != nil {
		return "", err
	}
	if _, err = Ask(socket, Request("POST", "/v1.41/containers/"+id+"/start", "", "")); err != nil {
		discard(socket, id)
	}
	return id, err
}

func discard(socket, id string) {
	Ask(socket, Request("DELETE", "/v1.41/containers/"+id+"?force=1", "", ""))
}

// made posts body and returns the Id of what that made.
func made(socket, target, body string) (string, error) {
	b, err := Ask(socket, Request("POST", target, "", body))
	if err != nil {
		return "", err
	}
	var answer struct{ ID string }
	err = json.Unmarshal(b, &answer)
	return answer.ID, err
}

// An Exec is a hijacked exec.
type Exec struct{ *Conn }

func startExec(socket, container, command string) (Exec, error) {
	id, err := made(socket, "/v1.41/containers/"+container+"/exec",
		fmt.Sprintf(`{"AttachStdin":true,"AttachStdout":true,"Cmd":[%q]}`, command))
	if err != nil {
		return Exec{}, err
	}
	c, err := Open(socket, Request("POST", "/v1.41/exec/"+id+"/start", Upgrade, `{"Detach":false,"Tty":false}`), 101)
	return Exec{c}, err
}

// ExecTrue runs `true` in a container, from create to the stream's end.
func ExecTrue(socket, container string) error {
	e, err := startExec(socket, container, "true")
	if err != nil {
		return err
	}
	defer e.Close()
	n, err := e.Drain()
	if err == nil && n != 0 {
		err = fmt.Errorf("`true` printed %d bytes", n)
	}
	return err
}

// ExecCat runs `cat` in a container, for Echo.
func ExecCat(socket, container string) (Exec, error) { return startExec(socket, container, "cat") }

// Echo sends a line and waits until it has come back, in its frame.
func (e Exec) Echo() error {
	const line, frame = "ls -la\n", 8
	if _, err := io.WriteString(e, line); err != nil {
		return err
	}
	return e.Exact(frame + int64(len(line)))
}
