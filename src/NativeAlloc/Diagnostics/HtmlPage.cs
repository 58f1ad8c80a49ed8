namespace NativeAlloc.Diagnostics;

/// <summary>The page of <see cref="HtmlReport"/>, without its data: style, and the script that draws.</summary>
internal static class HtmlPage
{
    /// <summary>What stands before the data.</summary>
    internal const string Head = """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><title>NativeAlloc heap map</title>
        <meta name="viewport" content="width=device-width">
        <style>
        :root { color-scheme: light dark; --back: #fff; --text: #1d2430; --faint: #66707f; --line: #d8dde5;
          --bar: #3b7dd8;
          --k0: #f0f2f5; --k1: #dfe5ec; --k2: #a9b7c6; --k3: #f2c14e;
          --k4: #3b7dd8; --k5: #8e5bd0; --k6: #2a9d76; --k7: #777 }
        @media (prefers-color-scheme: dark) { :root { --back: #14181f; --text: #e4e8ee; --faint: #98a3b3;
          --line: #313946;
          --bar: #5b9bf0; --k0: #1b2029; --k1: #262d38; --k2: #4d5a6b; --k3: #d9a83a; --k4: #5b9bf0; --k5: #a67fe0;
          --k6: #3fbf92; --k7: #999 } }
        body { background: var(--back); color: var(--text); font: 14px/1.45 system-ui, sans-serif; margin: 24px;
          max-width: 1200px }
        h1 { font-size: 20px; margin: 0 } h2 { font-size: 15px; margin: 28px 0 8px } .faint { color: var(--faint) }
        .tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0 }
        .tile { border: 1px solid var(--line); border-radius: 6px; padding: 8px 14px; min-width: 110px }
        .tile b { display: block; font-size: 18px }
        .legend span { margin-right: 14px; white-space: nowrap }
        .legend i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 5px }
        canvas { display: block; width: 100%; image-rendering: pixelated }
        table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: 3px 10px 3px 0;
          border-bottom: 1px solid var(--line); vertical-align: top } td.n, th.n { text-align: right }
        .bar { background: var(--line); height: 9px; border-radius: 3px; min-width: 80px; overflow: hidden;
          margin-top: 5px }
        .bar div { background: var(--bar); height: 9px } pre { overflow: auto; font-size: 12px }
        .charts { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 12px 24px }
        .charts figure { margin: 0; flex: 1 1 260px }
        .charts svg { display: block; width: 100%; height: 90px; border-bottom: 1px solid var(--line) }
        .charts div { display: flex; justify-content: space-between }
        #tip { position: fixed; display: none; background: var(--text); color: var(--back); padding: 4px 8px;
          border-radius: 4px; pointer-events: none; font-size: 12px }
        </style></head><body><h1>NativeAlloc heap map</h1><div class="faint" id="sub"></div>
        <div class="tiles" id="tiles"></div>
        <div id="history"></div><h2>Pages of the linear region</h2><div class="legend" id="legend"></div>
        <label class="faint">zoom <input id="zoom" type="range" min="3" max="16" step="1"></label>
        <canvas id="map"></canvas><div id="tip"></div><div id="rest"></div>
        <script>
        const data =
        """;

    /// <summary>What stands behind it.</summary>
    internal const string Tail = """
        ;
        const names = ['not online', 'free, no memory behind', 'free, with memory', 'hot list of a thread',
          'slab (stronger: more in use)', 'large block', 'block of PageAllocator', 'taken'];
        const bytes = b64 => Uint8Array.from(atob(b64), c => c.charCodeAt(0));
        const kinds = bytes(data.kinds), used = bytes(data.used), $ = id => document.getElementById(id);
        const size = n => { let u = 0; while (Math.abs(n) >= 1024 && u < 4) { n /= 1024; u++ }
          return (u ? n.toFixed(1) : n) + ' ' + ['B', 'KiB', 'MiB', 'GiB', 'TiB'][u] };
        const text = s => { const d = document.createElement('div'); d.textContent = s; return d.innerHTML };
        const figure = Object.fromEntries(data.figures.map(f => [f[0], f[1]]));
        const cellBytes = data.pageBytes * data.pagesPerCell;
        $('sub').textContent = 'Each cell is ' + size(cellBytes) + '. Threads went on while this was read.';
        for (const [label, name] of [['users hold', 'LiveBytes'], ['blocks', 'LiveBlocks'],
          ['resident at most', 'ResidentEstimateBytes'], ['kept for reuse', 'CachedBytes'],
          ['free in slabs', 'SlabFreeBytes'], ['free with memory', 'DirtyFreeBytes'], ['limit', 'LimitBytes']])
          $('tiles').innerHTML += '<div class="tile"><b>' + (name.endsWith('Bytes') ? size(figure[name])
            : figure[name].toLocaleString('en')) + '</b><span class="faint">' + label + '</span></div>';
        // A sample holds until the next: nothing is sampled while nothing changes. All charts have the same scale.
        const past = data.history, ago = s => s < 90 ? s.toFixed(0) + ' s' : (s / 60).toFixed(1) + ' min';
        if (past.length > 1) {
          const span = Math.max(past[0][0], .001), top = Math.max(1, ...past.flatMap(s => s.slice(1)));
          const chart = (title, at, colour) => {
            let path = '';
            for (const s of past) {
              const x = (300 * (1 - s[0] / span)).toFixed(1), y = (88 - 84 * s[at] / top).toFixed(1);
              path += path ? 'H' + x + 'V' + y : 'M' + x + ',' + y }
            return '<figure><b>' + title + '</b> ' + size(past.at(-1)[at]) + ' <span class="faint">peak '
              + size(Math.max(...past.map(s => s[at]))) + '</span>'
              + '<svg viewBox="0 0 300 90" preserveAspectRatio="none" role="img" aria-label="' + title
              + '"><path d="' + path + 'V90H0Z" fill="var(' + colour
              + ')" opacity=".18"/><path d="' + path + '" fill="none" stroke="var(' + colour + ')" '
              + 'stroke-width="2" vector-effect="non-scaling-stroke"/></svg><div class="faint"><span>' + ago(span)
              + ' before</span><span>now</span></div></figure>' };
          $('history').innerHTML = '<h2>The last minutes</h2><div class="charts">'
            + chart('resident at most', 1, '--k4') + chart('users hold', 2, '--k6')
            + chart('kept for reuse', 3, '--k5') + '</div>';
        } else if (past.length) $('history').innerHTML = '<p class="faint">The figures of the last minutes are '
          + 'kept from now on: the next report has them.</p>';
        const counts = names.map(() => 0); kinds.forEach(k => counts[k]++);
        names.forEach((n, k) => { if (counts[k]) $('legend').innerHTML += '<span><i style="background:var(--k' + k
          + ')"></i>' + n + ' <span class="faint">' + size(counts[k] * cellBytes) + '</span></span>' });
        const canvas = $('map'), draw = () => {
          const style = getComputedStyle(document.documentElement), cell = +$('zoom').value;
          const colours = names.map((_, k) => style.getPropertyValue('--k' + k));
          const across = Math.max(16, Math.floor(canvas.clientWidth / cell)), rows = Math.ceil(kinds.length / across);
          canvas.width = across * cell; canvas.height = Math.max(1, rows * cell);
          const g = canvas.getContext('2d'), gap = cell > 4 ? 1 : 0;
          for (let i = 0; i < kinds.length; i++) {
            g.globalAlpha = kinds[i] === 4 ? .25 + .75 * used[i] / 100 : 1;
            g.fillStyle = colours[kinds[i]];
            g.fillRect(i % across * cell, Math.floor(i / across) * cell, cell - gap, cell - gap);
          }
          canvas.across = across; canvas.cell = cell;
        };
        $('zoom').value = kinds.length < 3000 ? 14 : kinds.length < 40000 ? 7 : 4; $('zoom').oninput = draw;
        canvas.onmousemove = e => {
          const scale = canvas.width / canvas.clientWidth, cell = canvas.cell;
          const i = Math.floor(e.offsetY * scale / cell) * canvas.across + Math.floor(e.offsetX * scale / cell);
          if (i >= kinds.length) return;
          const tip = $('tip'); tip.style.display = 'block';
          tip.style.left = e.clientX + 12 + 'px'; tip.style.top = e.clientY + 12 + 'px';
          tip.textContent = 'page ' + i * data.pagesPerCell + ': ' + names[kinds[i]].split(' (')[0] + ', ' + used[i]
            + ' % in use';
        };
        canvas.onmouseleave = () => $('tip').style.display = 'none';
        const table = (title, head, rows) => { if (rows.length) $('rest').innerHTML += '<h2>' + title
          + '</h2><table><tr>' + head.map(h => '<th>' + h + '</th>').join('') + '</tr>' + rows.map(r => '<tr>'
          + r.map(c => '<td>' + c + '</td>').join('') + '</tr>').join('') + '</table>' };
        const bar = share => '<div class="bar"><div style="width:' + (100 * share).toFixed(1) + '%"></div></div>';
        table('Caches with the most memory', ['cache', 'memory', 'users hold', 'slabs', 'in use'], data.caches.map(c =>
          [text(c[0]), size(c[1]), size(c[2]), c[3], bar(c[2] / Math.max(1, c[1]))]));
        const free = data.orders.map((n, o) => n * data.pageBytes * 2 ** o), most = Math.max(1, ...free);
        table('Free blocks by order: small ones only mean fragmentation', ['block', 'number', 'memory', ''],
          data.orders.map((n, o) => [size(data.pageBytes * 2 ** o), n, size(free[o]), bar(free[o] / most)]));
        table('Areas', ['address', 'size', 'what'], data.areas.slice(0, 100).map(a =>
          [a.address, size(a.pages * data.pageBytes), a.kind]));
        table('Stacks with the most live bytes (estimated)', ['bytes', 'blocks', 'stack'], data.stacks.map(s =>
          [size(s[0]), s[1], '<pre>' + text(s[2]) + '</pre>']));
        if (Object.keys(data.texts).length) table('Figures', ['name', 'number', 'meaning'], data.figures.map(f =>
          [f[0], f[2] === 'Bytes' ? size(f[1]) : f[1].toLocaleString('en'), text(f[3])]));
        for (const [name, value] of Object.entries(data.texts)) $('rest').innerHTML += '<h2>' + name + '</h2><pre>'
          + text(value) + '</pre>';
        addEventListener('resize', draw); matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
        draw();
        </script></body></html>
        """;
}
