package owner

import "fmt"

// df is the shape of what the Engine says of its disk, in both of its forms:
// lists with LayersSize, and from API 1.52 on one object of each kind. What
// the Engine counts is counted anew, of what is the caller's.
func (s *sight) df() *shape {
	d := &disk{sight: s}
	images := &shape{begin: d.images.reset, each: &shape{judge: d.image}}
	containers := &shape{begin: d.containers.reset, each: &shape{judge: d.container}}
	volumes := &shape{begin: d.volumes.reset, each: &shape{judge: d.volume}}
	caches := &shape{each: dropped} // shared by all that anybody builds
	of := func(list *shape, count *usageOf) *shape {
		return &shape{members: map[string]*shape{"Items": list}, end: count.String}
	}
	return &shape{
		members: map[string]*shape{
			"LayersSize":      {judge: d.layers},
			"Images":          images,
			"Containers":      containers,
			"Volumes":         volumes,
			"BuildCache":      caches,
			"ImageUsage":      of(images, &d.images),
			"ContainerUsage":  of(containers, &d.containers),
			"VolumeUsage":     of(volumes, &d.volumes),
			"BuildCacheUsage": of(caches, &usageOf{}),
		},
		end: d.end,
	}
}

// disk is what is seen of one disk, as far as it has come.
type disk struct {
	*sight
	images, containers, volumes usageOf
	layered                     bool // the answer tells of layers
}

// usageOf counts objects of one kind.
type usageOf struct {
	active, total, size, free int64
	shared                    int64 // the largest part that an image has in common with others
}

func (u *usageOf) reset() { *u = usageOf{} }

func (u *usageOf) add(size int64, active bool) {
	size = max(size, 0) // -1 is not known
	u.total++
	u.size += size
	if active {
		u.active++
	} else {
		u.free += size
	}
}

// String is the counts as members of an object.
func (u *usageOf) String() string {
	return fmt.Sprintf(`"ActiveCount":%d,"Reclaimable":%d,"TotalCount":%d,"TotalSize":%d`, u.active, u.free, u.total, u.size+u.shared)
}

// layers leaves the sum of all layers out; end puts what is seen of them in
// its place.
func (d *disk) layers(value) ([]byte, error) {
	d.layered = true
	return nil, nil
}

func (d *disk) end() string {
	if !d.layered {
		return ""
	}
	return fmt.Sprintf(`"LayersSize":%d`, d.images.size+d.images.shared)
}

// image counts what an image has for itself; what images have in common is
// counted once, as far as one image tells of it.
func (d *disk) image(v value) ([]byte, error) {
	seen, err := d.sight.image(v)
	if seen == nil || err != nil {
		return nil, err
	}
	f, err := pick(seen, "Containers", "Size", "SharedSize")
	if err != nil {
		return nil, err
	}
	shared := max(number(f[2]), 0)
	d.images.add(number(f[1])-shared, number(f[0]) > 0)
	d.images.shared = max(d.images.shared, shared)
	return seen, nil
}

func (d *disk) container(v value) ([]byte, error) {
	seen, err := d.sight.container(v)
	if seen == nil || err != nil {
		return nil, err
	}
	f, err := pick(seen, "SizeRw", "State")
	if err != nil {
		return nil, err
	}
	state, err := optional(f[1])
	if err != nil {
		return nil, err
	}
	d.containers.add(number(f[0]), state == "running" || state == "paused" || state == "restarting")
	return seen, nil
}

func (d *disk) volume(v value) ([]byte, error) {
	seen, err := d.sight.volume(v)
	if seen == nil || err != nil {
		return nil, err
	}
	var size, uses int64
	f, err := pick(seen, "UsageData")
	if err == nil && f[0] != nil && f[0][0] == '{' {
		if f, err = pick(f[0], "Size", "RefCount"); err == nil {
			size, uses = number(f[0]), number(f[1])
		}
	}
	if err != nil {
		return nil, err
	}
	d.volumes.add(size, uses > 0)
	return seen, nil
}
