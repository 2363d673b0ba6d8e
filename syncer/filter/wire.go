package filter

import "fmt"

// maxWireRule is the length from which a receiver ends the connection: rsync 3.5.0 exclude.c,
// recv_filter_list.
const maxWireRule = 5120

// Wire returns the rules that a receiver needs, in the form of protocol 29 and later and without
// framing: the sender's own rules are left out, names like "protect" become prefixes with modifiers.
// With deleteExcluded (--delete-excluded) rules without a side are the sender's own as well.
// Source: rsync 3.5.0 exclude.c, send_rules and get_rule_prefix.
func (l *List) Wire(deleteExcluded bool) ([]string, error) {
	if l == nil {
		return nil, nil
	}
	var texts []string
	for _, r := range l.rules {
		// A merge file may have rules of either side in it, but for one of bare patterns.
		unsided := !r.sided() && (r.merge == nil || r.merge.inner.dialect == dialectBare)
		if !r.onReceiver() || deleteExcluded && unsided {
			continue
		}
		text := r.wire()
		if len(text) >= maxWireRule {
			return nil, fmt.Errorf("filter rule %s: longer than the %d bytes that rsync receives", quote(text), maxWireRule-1)
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// wire returns a rule's text; the order of the modifiers is rsync's.
func (r *rule) wire() string {
	text := []byte("-")
	m := r.merge
	switch {
	case m != nil:
		text[0] = ':'
	case r.include:
		text[0] = '+'
	}
	isMerge := m != nil
	isCVS := isMerge && m.inner.clears
	isBare := isMerge && m.inner.dialect == dialectBare
	for _, m := range []struct {
		set    bool
		letter byte
	}{
		{r.absolute, '/'}, {r.negate, '!'}, {isCVS, 'C'},
		{isMerge && !isCVS && m.noInherit, 'n'}, {isMerge && !isCVS && m.inner.words, 'w'},
		{isBare && !isCVS && !r.include, '-'}, {isBare && !isCVS && r.include, '+'},
		{r.xattr, 'x'}, {r.sender, 's'}, {r.receiver, 'r'}, {r.perishable, 'p'},
	} {
		if m.set {
			text = append(text, m.letter)
		}
	}
	text = append(text, ' ')
	text = append(text, r.pattern...)
	if r.dirOnly {
		text = append(text, '/')
	}
	return string(text)
}
