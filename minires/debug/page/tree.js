// The ops of a pass as a tree of modules: runs of neighbours inside one module become a group.

function buildTree(ops) {
  const parts = ops.map(op => op.path ? op.path.split(".") : []);

  function rowsOf(from, to, depth) {
    const rows = [];
    let i = from;
    while (i < to) {
      const part = parts[i][depth];
      let end = i + 1;
      if (part !== undefined) while (end < to && parts[end][depth] === part) end++;
      if (end - i === 1) {
        rows.push({ label: parts[i].slice(depth).join(".") || ops[i].op, first: i, last: i, children: null });
      } else {
        const children = rowsOf(i, end, depth + 1);
        const only = children.length === 1 ? children[0] : null; // a module that holds one module and nothing else
        rows.push({ label: only ? part + "." + only.label : part, first: i, last: end - 1, children: only ? only.children : children });
      }
      i = end;
    }
    return rows;
  }

  function finish(rows, prefix, parent) {
    for (const row of rows) {
      row.parent = parent;
      row.path = prefix ? prefix + "." + row.label : row.label;
      if (parent && /^\d/.test(row.label)) row.label = parent.label + "." + row.label; // "layer3.2" says more than "2"
      row.depth = parent ? parent.depth + 1 : 0;
      if (row.children) finish(row.children, row.path, row);
    }
    return rows;
  }

  return finish(rowsOf(0, ops.length, 0), "", null);
}

function groupsOf(rows) {
  return rows.filter(row => row.children).flatMap(row => [row, ...groupsOf(row.children)]);
}

// The rows to be seen: those of open groups, in the order of the walk.
function visibleRows(rows, isOpen) {
  return rows.flatMap(row => row.children && isOpen(row) ? [row, ...visibleRows(row.children, isOpen)] : [row]);
}
