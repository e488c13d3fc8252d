// Lighthouse, in a page of the Chromium that it audits. That Chromium put `cdp` here, a channel of
// its DevTools protocol; puppeteer turns it into pages, which Lighthouse takes.

// Who owns which host: the book asks none.
thirdPartyWeb.provideThirdPartyWeb({ getEntity: () => undefined });

const transport = { send: (message) => cdp.send(message), close() {} };
cdp.onmessage = (message) => transport.onmessage?.(message);
const connected = Puppeteer.connect({ transport, defaultViewport: null });

// On a phone, as Lighthouse does unasked; nothing is slowed down, and `open` has waited enough.
const CONFIG = {
  extends: "lighthouse:default",
  settings: {
    onlyCategories: ["accessibility", "best-practices"],
    // Without weight, and slow: source maps of the theme's scripts; the age of what CSS is used.
    skipAudits: ["valid-source-maps", "baseline"],
    disableFullPageScreenshot: true,
    disableStorageReset: true, // scripts stay cached from page to page
    maxWaitForLoad: 120_000,
    pauseAfterFcpMs: 0,
    pauseAfterLoadMs: 0,
    networkQuietThresholdMs: 0,
    cpuQuietThresholdMs: 0,
  },
};

// Formulas are set and explorers alive before anything is looked at.
async function open(page, address) {
  await page.goto(address);
  await page.evaluate(async () => { await window.MathJax?.startup?.promise; });
  await page.waitForFunction(
    (view) => document.querySelectorAll(view).length
      <= document.querySelectorAll("[data-explorer]").length,
    {},
    "script[type='application/vnd.jupyter.widget-view+json']",
  );
}

// Each category's score from 0 to 1 and what failed in it, and where; and warnings of Lighthouse.
async function audit(address) {
  const page = await (await connected).newPage();
  page.setDefaultTimeout(120_000);
  try {
    const { lhr } = await navigation(page, () => open(page, address), { config: CONFIG });
    const result = { warnings: [lhr.runtimeError?.message ?? [], lhr.runWarnings].flat() };
    for (const { id, score, auditRefs } of Object.values(lhr.categories)) {
      const failed = auditRefs.map((ref) => lhr.audits[ref.id]).filter(isFailure);
      result[id] = { score, failed: failed.map(describe) };
    }
    return result;
  } finally {
    await page.close();
  }
}

function isFailure({ score, scoreDisplayMode }) {
  return scoreDisplayMode === "error" || (scoreDisplayMode === "binary" && score < 1);
}

function describe({ id, title, errorMessage, details }) {
  const where = (details?.items ?? []).slice(0, 10).map(
    (item) => (item.node?.snippet ?? JSON.stringify(item)).slice(0, 200),
  );
  return [`${id}: ${errorMessage ?? title}`, ...where].join("\n  ");
}
