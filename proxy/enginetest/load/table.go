package load

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Table gathers measurements of several targets and prints their medians.
type Table struct {
	Targets []string // the columns; the last is the one to be judged
	rows    []*row
}

type row struct {
	work, unit string
	values     map[string][]float64
}

// Add takes in one measurement.
func (t *Table) Add(work, unit, target string, value float64) {
	i := slices.IndexFunc(t.rows, func(r *row) bool { return r.work == work && r.unit == unit })
	if i < 0 {
		i = len(t.rows)
		t.rows = append(t.rows, &row{work, unit, map[string][]float64{}})
	}
	t.rows[i].values[target] = append(t.rows[i].values[target], value)
}

// Median is the middle of a row's measurements of target; false where there
// are none.
func (t *Table) Median(work, unit, target string) (float64, bool) {
	for _, r := range t.rows {
		if r.work == work && r.unit == unit {
			return r.median(target)
		}
	}
	return 0, false
}

func (r *row) median(target string) (float64, bool) {
	v := slices.Sorted(slices.Values(r.values[target]))
	if len(v) == 0 {
		return 0, false
	}
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2, true
}

// String is the table in Markdown, its columns aligned, with the ratios of the
// last target to each of the others.
func (t *Table) String() string {
	last := len(t.Targets) - 1
	head := append([]string{"work", "unit"}, t.Targets...)
	for _, other := range t.Targets[:last] {
		head = append(head, t.Targets[last]+"/"+other)
	}
	lines := [][]string{head}
	work := ""
	for _, r := range t.rows {
		line := []string{r.work, r.unit}
		if r.work == work {
			line[0] = ""
		}
		work = r.work
		for _, target := range t.Targets {
			line = append(line, number(r.median(target)))
		}
		judged, ok := r.median(t.Targets[last])
		for _, target := range t.Targets[:last] {
			other, has := r.median(target)
			line = append(line, ratio(judged, other, ok && has))
		}
		lines = append(lines, line)
	}
	return markdown(lines)
}

// number prints v to three digits, which is more than a run repeats.
func number(v float64, ok bool) string {
	switch {
	case !ok:
		return "–"
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func ratio(a, b float64, ok bool) string {
	if !ok || b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f ×", a/b)
}

func markdown(lines [][]string) string {
	width := make([]int, len(lines[0]))
	for _, l := range lines {
		for i, s := range l {
			width[i] = max(width[i], utf8.RuneCountInString(s))
		}
	}
	var b strings.Builder
	for n, l := range lines {
		for i, s := range l {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(s))
			if i < 2 {
				s += pad
			} else {
				s = pad + s
			}
			b.WriteString("| " + s + " ")
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i, w := range width {
			rule := strings.Repeat("-", w)
			if i >= 2 {
				rule = rule[1:] + ":"
			}
			b.WriteString("| " + rule + " ")
		}
		b.WriteString("|\n")
	}
	return b.String()
}
