"use strict";
const find = (id) => document.getElementById(id);
const plan = JSON.parse(find("plan").textContent);
const videos = [...document.querySelectorAll("video")];
const seenBars = [...document.querySelectorAll(".seen")];
const LABELS = { a: "A is better", b: "B is better", tie: "About the same", bothbad: "Both are bad" };
const KEYS = Object.keys(LABELS); // keys 1 to 4, whichever of them this study asks
const DRIFT_SECONDS = 0.12;
const RETRY_SECONDS = 3;

// ---- who votes, and what was answered ----------------------------------------------------------

let rater = null;
let showings = [];
let state = null; // {session, ballots, sent, skipped}: all that outlives the page
const watched = new Set(); // positions seen to the end since the page was loaded

function codeOf(text) {
  const code = /^r0*([1-9][0-9]{0,6})$/i.exec(text);
  if (!code || Number(code[1]) > plan.slots.length) return null;
  return "r" + code[1].padStart(Math.max(2, String(plan.slots.length).length), "0");
}

// The same arithmetic as Plan.slot_of: a code has its own order, any other id one by FNV-1a.
function slotOf(id) {
  if (codeOf(id)) return Number(id.slice(1)) - 1;
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(id)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash % plan.slots.length;
}

const storageName = (id) => `pfp-study:${plan.study}:${id}`;

function newState() {
  const random = crypto.getRandomValues(new Uint8Array(8));
  const session = [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return { session, ballots: [], sent: 0, skipped: [] };
}

function load(id) {
  try {
    return JSON.parse(localStorage.getItem(storageName(id))) || newState();
  } catch {
    return newState();
  }
}

function save() {
  try {
    localStorage.setItem(storageName(rater), JSON.stringify(state));
  } catch {
    trouble("This browser keeps nothing: do not close or reload the page before the end.");
  }
}

// Who has voted here before goes on where that ended.
function isKnown(id) {
  return load(codeOf(id.trim()) || id.trim()).ballots.length > 0;
}

function latest() {
  const found = new Map();
  for (const ballot of state.ballots) {
    found.delete(ballot.position); // so that the order is that of the last change
    found.set(ballot.position, ballot);
  }
  return found;
}

function current() {
  const found = latest();
  const open = (_, p) => !found.get(p)?.answer && !state.skipped.includes(p);
  const position = showings.findIndex(open);
  return position < 0 ? null : position;
}

function record(position, answer, seconds) {
  const before = latest().get(position);
  state.ballots.push({
    study: plan.study,
    session: state.session,
    rater,
    position,
    revision: before ? before.revision + 1 : 0,
    answer,
    seconds: Math.round(seconds * 1000) / 1000,
    voted_at: new Date().toISOString(),
  });
  save();
  send();
}

function undo() {
  const voted = [...latest().values()].filter((ballot) => ballot.answer);
  if (!voted.length) return;
  record(voted.at(-1).position, null, 0);
  next();
}

// ---- sending: only where `pfp-eval study serve` listens ----------------------------------------

const served = !location.protocol.startsWith("http")
  ? Promise.resolve(false)
  : fetch("votes")
      .then((answer) => answer.json())
      .then((found) => found.study === plan.study)
      .catch(() => false);
let sending = false;
let refusal = null;

async function send() {
  if (sending || refusal || !(await served)) return;
  sending = true;
  const mine = state;
  while (mine.sent < mine.ballots.length && !refusal) {
    const some = mine.ballots.slice(mine.sent, mine.sent + 100);
    const options = { method: "POST", keepalive: true, body: JSON.stringify(some) };
    options.headers = { "Content-Type": "application/json" };
    const answer = await fetch("votes", options).catch(() => null);
    if (answer?.ok) {
      mine.sent += some.length;
      if (mine === state) save();
      trouble(null);
    } else if (answer && answer.status < 500) {
      refusal = await answer.text();
      trouble(`Your votes were refused: ${refusal.trim()}. Please download them at the end.`);
    } else {
      trouble("Your votes cannot be sent right now. They are kept here, and sent later.");
      setTimeout(send, RETRY_SECONDS * 1000);
      break;
    }
  }
  sending = false;
  showEnd();
}

// ---- both videos as one player -----------------------------------------------------------------

const touch = matchMedia("(hover: none)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let wantsPlay = false;
let startedAt = null; // when both began to play, for the seconds of a vote
let ended = [false, false];

const ready = () => videos.every((video) => video.readyState >= 3 || video.ended);

function play() {
  wantsPlay = true;
  follow();
}

function pause() {
  wantsPlay = false;
  follow();
}

function rewind() {
  for (const video of videos) video.currentTime = 0;
  play();
}

// Both play or none does, so a video that waits for bytes is waited for.
function follow() {
  const go = wantsPlay && ready() && !document.hidden;
  for (const video of videos) {
    if (go && video.paused && !video.ended) video.play().catch(refuseToPlay);
    if (!go && !video.paused) video.pause();
  }
  if (go && startedAt === null) startedAt = performance.now();
  find("play").textContent = wantsPlay ? "Pause" : "Play";
}

function refuseToPlay(error) {
  if (error.name === "NotAllowedError") pause();
}

function tick() {
  if (find("vote").hidden) return;
  follow();
  const [a, b] = videos;
  if (wantsPlay && a.ended && b.ended) rewind();
  const lead = a.currentTime - b.currentTime;
  const apart = ![a, b].some((video) => video.ended || video.seeking);
  if (wantsPlay && apart && Math.abs(lead) > DRIFT_SECONDS) {
    if (lead > 0) a.currentTime = b.currentTime;
    else b.currentTime = a.currentTime;
  }
  const shares = videos.map(shareSeen);
  shares.forEach((share, side) => {
    seenBars[side].firstElementChild.style.transform = `scaleX(${share})`;
    seenBars[side].classList.toggle("all", share === 1);
  });
  if (shares.every((share) => share === 1) && !watched.has(shown)) {
    watched.add(shown);
    showAnswers();
  }
  markShot(Math.max(a.currentTime, b.currentTime));
}

// How much was really played, jumps left out; a stream without a known end counts when it ended.
function shareSeen(video, side) {
  if (watched.has(shown)) return 1;
  if (!Number.isFinite(video.duration)) return ended[side] ? 1 : 0;
  let seconds = 0;
  for (let i = 0; i < video.played.length; i++) {
    seconds += video.played.end(i) - video.played.start(i);
  }
  const needed = Math.max(video.duration - 0.3, 0.9 * video.duration);
  return Math.min(1, seconds / needed);
}

videos.forEach((video, side) => {
  video.addEventListener("error", () => showBroken(true));
  video.addEventListener("loadedmetadata", fit);
  video.addEventListener("ended", () => (ended[side] = true));
  for (const name of ["canplay", "canplaythrough", "waiting", "playing"]) {
    video.addEventListener(name, follow);
  }
});

// One box for both, as wide as the wider of them needs, as high as the rest of the page leaves.
function fit() {
  const ratios = videos.map((video) => video.videoWidth / video.videoHeight).filter((x) => x > 0);
  const style = find("stage").style;
  if (ratios.length) style.setProperty("--ratio", Math.max(...ratios).toFixed(4));
  const [a, b] = videos.map((video) => video.getBoundingClientRect());
  const high = a.top === b.top ? a.height : a.height + b.height;
  if (high) style.setProperty("--rest", `${Math.ceil(find("vote").offsetHeight - high)}px`);
}

addEventListener("resize", fit);

// ---- what is on the screen ---------------------------------------------------------------------

let shown = null;
let ahead = []; // keeps the next pair's bytes coming

function view(name) {
  for (const id of ["start", "vote", "end"]) find(id).hidden = id !== name;
}

function trouble(text) {
  find("trouble").hidden = !text;
  find("trouble").textContent = text || "";
}

const fileOf = (number) => `videos/${plan.videos[number]}`;

function next() {
  const position = current();
  if (position === null) {
    pauseAll();
    view("end");
    showEnd();
    document.querySelector("#end h1").focus();
    return;
  }
  view("vote");
  show(position);
}

function show(position) {
  const { prompt, left, right } = showings[position];
  shown = position;
  startedAt = null;
  ended = [false, false];
  showBroken(false);
  showPrompt(plan.prompts[prompt]);
  [left, right].forEach((number, side) => {
    videos[side].src = fileOf(number);
    videos[side].load();
  });
  const voted = [...latest().values()].filter((ballot) => ballot.answer).length;
  find("count").textContent = `Pair ${position + 1} of ${showings.length}`;
  find("progress").max = showings.length;
  find("progress").value = voted + state.skipped.length;
  find("undo").disabled = voted === 0;
  showAnswers();
  find("count").focus({ preventScroll: true });
  scrollTo(0, 0);
  fit();
  wantsPlay = !calm.matches;
  follow();
  ahead = preload(showings[position + 1]);
}

function preload(showing) {
  if (!showing) return [];
  return [showing.left, showing.right].map((number) => {
    const video = document.createElement("video");
    video.muted = true;
    video.preload = "auto";
    video.src = fileOf(number);
    return video;
  });
}

function pauseAll() {
  wantsPlay = false;
  shown = null;
  ahead = [];
  for (const video of videos) {
    video.pause();
    video.removeAttribute("src");
    video.load();
  }
}

function showPrompt(prompt) {
  find("prompt").hidden = !prompt.text && !prompt.shots.length;
  find("prompt").scrollTop = 0;
  find("prompt-text").textContent = prompt.text || "";
  find("shots").replaceChildren(
    ...prompt.shots.map((shot) => {
      const line = document.createElement("li");
      const time = document.createElement("time");
      time.textContent = `${shot.start_seconds.toFixed(1)}\u2013${shot.end_seconds.toFixed(1)} s`;
      line.append(time, shot.caption);
      return line;
    }),
  );
}

function markShot(seconds) {
  if (shown === null) return;
  plan.prompts[showings[shown].prompt].shots.forEach((shot, i) => {
    const now = shot.start_seconds <= seconds && seconds < shot.end_seconds;
    find("shots").children[i]?.classList.toggle("now", now);
  });
}

function showBroken(broken) {
  find("broken").hidden = !broken || shown === null;
  find("stage").hidden = broken && shown !== null;
}

function showAnswers() {
  const open = watched.has(shown);
  for (const button of find("answers").children) button.disabled = !open;
  const keys = plan.answers.map((answer) => KEYS.indexOf(answer) + 1).join(", ");
  find("hint").textContent = open
    ? `Your vote, please${touch.matches ? "" : `: click, or press ${keys}`}.`
    : calm.matches && !startedAt
      ? "Press Play. You can vote when both videos have played to the end."
      : "You can vote when both videos have played to the end.";
}

function showEnd() {
  if (!state || find("end").hidden) return;
  const voted = [...latest().values()].filter((ballot) => ballot.answer).length;
  const skipped = state.skipped.length ? ` ${state.skipped.length} could not be played.` : "";
  const all = `You voted on ${voted} of ${showings.length} pairs.${skipped}`;
  find("undo-end").disabled = voted === 0;
  served.then((here) => {
    const arrived = here && state.sent === state.ballots.length;
    const rest = arrived
      ? "All votes have arrived, and you can close this page."
      : here && !refusal
        ? "They are being sent."
        : "Please download your votes and send the file to whoever invited you.";
    find("done").textContent = `${all} ${rest}`;
    find("download").classList.toggle("primary", !arrived);
  });
}

// ---- what the rater does -----------------------------------------------------------------------

function vote(answer) {
  if (shown === null || !watched.has(shown) || !plan.answers.includes(answer)) return;
  const seconds = startedAt === null ? 0 : (performance.now() - startedAt) / 1000;
  record(shown, answer, seconds);
  next();
}

function begin(id) {
  const text = id.trim();
  const fits = /^(?:[^\p{C}\p{Z}]| ){1,64}$/u.test(text);
  find("rater-problem").textContent = fits ? "" : "Please give an id of 1 to 64 letters or digits.";
  if (!fits) return;
  rater = codeOf(text) || text;
  showings = plan.slots[slotOf(rater)];
  state = load(rater);
  document.title = `${plan.question} (${rater})`;
  try {
    history.replaceState(null, "", `?rater=${encodeURIComponent(rater)}`);
  } catch {
    // A page opened as a file may not change its address; it asks for the id after a reload.
  }
  send();
  next();
}

function download() {
  const lines = state.ballots.map((ballot) => JSON.stringify(ballot) + "\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
  link.download = `ballots-${rater.replace(/[^A-Za-z0-9_-]/g, "_")}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

for (const answer of plan.answers) {
  const button = document.createElement("button");
  const key = document.createElement("kbd");
  key.textContent = KEYS.indexOf(answer) + 1;
  key.setAttribute("aria-hidden", "true");
  button.type = "button";
  button.dataset.answer = answer;
  button.className = answer === "a" || answer === "b" ? "better" : "";
  button.setAttribute("aria-keyshortcuts", key.textContent);
  button.append(LABELS[answer], key);
  button.addEventListener("click", () => vote(answer));
  find("answers").append(button);
}
if (plan.answers.length === 3) find("answers").lastElementChild.classList.add("wide");

for (const heading of document.querySelectorAll(".question")) heading.textContent = plan.question;
document.title = plan.question;
find("total").textContent = plan.slots[0].length;
find("code").textContent = "r" + "1".padStart(Math.max(2, String(plan.slots.length).length), "0");
find("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  begin(find("rater").value);
});
find("play").addEventListener("click", () => (wantsPlay ? pause() : play()));
find("rewind").addEventListener("click", rewind);
find("undo").addEventListener("click", undo);
find("undo-end").addEventListener("click", undo);
find("download").addEventListener("click", download);
find("again").addEventListener("click", () => show(shown));
find("skip").addEventListener("click", () => {
  state.skipped.push(shown);
  save();
  next();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (find("vote").hidden) return;
  const key = event.key.toLowerCase();
  const onButton = event.target.tagName === "BUTTON";
  if (KEYS[key - 1]) vote(KEYS[key - 1]);
  else if (key === "u") undo();
  else if (key === "r") rewind();
  else if (key === " " && !onButton) wantsPlay ? pause() : play();
  else return;
  event.preventDefault();
});

document.addEventListener("visibilitychange", follow);

// The same rater in another tab: what that one stored is the truth.
addEventListener("storage", (event) => {
  if (!rater || event.key !== storageName(rater)) return;
  state = load(rater);
  if (find("end").hidden && current() === shown) return;
  next();
});

setInterval(tick, 100);
view("start");
find("rater").value = new URLSearchParams(location.search).get("rater") || "";
if (find("rater").value && isKnown(find("rater").value)) begin(find("rater").value);
else if (find("rater").value) document.querySelector("#enter button").focus();
else find("rater").focus();
