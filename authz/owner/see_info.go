package owner

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"moorgate/router"
)

// summary is one of the caller's containers, as a list tells of it.
type summary struct{ ID, Image, State string }

// ownContainers asks the Engine for the caller's containers.
func (s *sight) ownContainers(each func(summary)) error {
	query := url.Values{"all": {"1"}}
	if s.labels(router.Container) {
		query.Set("filters", router.Filters{"label": {s.label()}}.String())
	}
	all := s.judging.sight()
	return s.through(s.ctx, s.index.engine, "/containers/json?"+query.Encode(), func(v value) ([]byte, error) {
		seen, err := all.container(v)
		if seen == nil || err != nil {
			return nil, err
		}
		f, err := v.pick("Id", "ImageID", "State")
		if err != nil {
			return nil, err
		}
		var c summary
		for i, to := range []*string{&c.ID, &c.Image, &c.State} {
			if *to, err = optional(f[i]); err != nil {
				return nil, err
			}
		}
		each(c)
		return nil, nil
	})
}

// listTime bounds how long a list may take that moorgate itself asks for.
const listTime = time.Minute

// through asks the Engine for a list and shows its elements, one at a time.
func (o *Owner) through(ctx context.Context, engine, path string, each func(value) ([]byte, error)) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	answer, err := o.Engines.Stream(ctx, engine, path)
	if err != nil {
		return fmt.Errorf("asking for what is there: %w", err)
	}
	c := cut(answer, &shape{each: &shape{judge: each}})
	defer c.Close()
	_, err = io.Copy(io.Discard, c)
	return err
}

// label is the label filter for what is the caller's.
func (j *judging) label() string { return Label + "=" + j.who.User }

// info is what the Engine tells of itself: what it counts is made the
// caller's.
func (s *sight) info(v value) ([]byte, error) {
	states := map[string]int64{}
	total := int64(0)
	if err := s.ownContainers(func(c summary) { states[c.State]++; total++ }); err != nil {
		return nil, err
	}
	images := int64(0)
	seer := s.judging.sight()
	if err := s.through(s.ctx, s.index.engine, "/images/json", func(v value) ([]byte, error) {
		seen, err := seer.imageSeen(v)
		if seen != nil {
			images++
		}
		return nil, err
	}); err != nil {
		return nil, err
	}
	// What restarts or is paused runs; the Engine counts so.
	running := states["running"] + states["restarting"]
	return edit(v.raw, map[string][]byte{
		"Containers":        counted(total),
		"ContainersRunning": counted(running),
		"ContainersPaused":  counted(states["paused"]),
		"ContainersStopped": counted(total - running - states["paused"]),
		"Images":            counted(images),
		"NFd":               counted(0),
		"NGoroutines":       counted(0),
		"NEventsListener":   counted(0),
	})
}
