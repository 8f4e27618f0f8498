// Character references of HTML, as Markdown takes them: numeric ones, and the names that models write.

const names: Readonly<Record<string, string>> = {
  ...{ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®", trade: "™" },
  ...{ hellip: "…", mdash: "—", ndash: "–", lsquo: "‘", rsquo: "’", ldquo: "“", rdquo: "”", laquo: "«", raquo: "»" },
  ...{ times: "×", divide: "÷", plusmn: "±", middot: "·", bull: "•", deg: "°", micro: "µ", para: "¶", sect: "§" },
  ...{ larr: "←", uarr: "↑", rarr: "→", darr: "↓", harr: "↔", rArr: "⇒", le: "≤", ge: "≥", ne: "≠", asymp: "≈" },
  ...{ minus: "−", infin: "∞", sum: "∑", prod: "∏", radic: "√", int: "∫", part: "∂", forall: "∀", exist: "∃" },
  ...{ alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", lambda: "λ", mu: "μ", pi: "π", sigma: "σ" },
  ...{ theta: "θ", omega: "ω", Delta: "Δ", Omega: "Ω", Sigma: "Σ", euro: "€", pound: "£", yen: "¥", cent: "¢" },
  ...{ frac12: "½", frac14: "¼", frac34: "¾", sup2: "²", sup3: "³", emsp: "\u2003", ensp: "\u2002", shy: "\u00ad" },
};

/** The text that stands for itself where a reference is unknown. */
export const decodeEntities = (text: string): string =>
  text.includes("&")
    ? text.replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-zA-Z]\w{1,30}));/g, (whole, decimal, hex, name) => {
        if (name !== undefined) return Object.hasOwn(names, name) ? names[name] : whole;
        const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
        return code === 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)
          ? "\ufffd"
          : String.fromCodePoint(code);
      })
    : text;
