// Asks the worker. One question at a time: while it computes, only the newest of further questions waits.

const arithmetic = byId("arithmetic").textContent;
const worker = startWorker();
let questions = 0, asked = null, waiting = null;

function startWorker() {
  const noWorker = () => { document.querySelector("#verdict .sentence").textContent = words.noWorker; };
  try {
    const started = new Worker(URL.createObjectURL(new Blob([arithmetic], { type: "text/javascript" })));
    started.onerror = noWorker;
    return started;
  } catch {
    return { postMessage: noWorker };
  }
}

// A promise of the result; of null where a newer question has made this one needless. given: see worker.js.
function ask(settings, given) {
  return new Promise(resolve => {
    const question = { id: questions++, settings, given, resolve };
    if (asked) {
      if (waiting) waiting.resolve(null); // it is not wanted any more
      waiting = question;
    } else send(question);
  });
}

function send(question) {
  asked = question;
  const { id, settings, given } = question;
  worker.postMessage({ id, settings, given });
}

worker.onmessage = ({ data }) => {
  const { resolve } = asked;
  asked = null;
  if (waiting) [asked, waiting] = [waiting, null];
  if (asked) send(asked);
  resolve(data);
};
