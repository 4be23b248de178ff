(() => {
  const {rows, columns, grey, classes, colours, folder, address} = window.LIVE;
  const BIG = 10; // classes that are shown
  const part = id => document.getElementById(id);
  const times = [];
  let number = 0;

  function say(text) {
    part("said").textContent = text;
    part("said").hidden = !text;
  }

  function count(milliseconds) {
    const now = performance.now();
    times.push(now);
    while (times[0] < now - 2000) times.shift();
    const span = now - times[0];
    window.LIVE.frames = (window.LIVE.frames || 0) + 1;
    if (span > 300) part("fps").textContent = ((times.length - 1) / span * 1000).toFixed(0);
    part("latency").textContent = milliseconds < 10 ? milliseconds.toFixed(2) : milliseconds.toFixed(0);
  }

  function list(entries, coloured) {
    const items = entries.map(([name, share, index]) => {
      const item = document.createElement("li"), label = document.createElement("span");
      if (coloured) {
        const square = document.createElement("s");
        square.style.background = `rgb(${colours[index % colours.length]})`;
        label.append(square);
      }
      label.append(name);
      const bar = document.createElement("i"), value = document.createElement("em");
      bar.style.width = `${100 * share}%`;
      value.textContent = `${(100 * share).toFixed(1)} %`;
      item.append(label, bar, value);
      return item;
    });
    part("shares").replaceChildren(...items);
  }

  function showLabel(answer) {
    part("label").textContent = answer.label;
    part("label").classList.toggle("word", answer.label.length > 4);
    part("mask").hidden = true;
    const entries = Object.entries(answer.shares).map(([name, share], index) => [name, share, index]);
    list(entries.sort((a, b) => b[1] - a[1]).slice(0, BIG), false);
  }

  function showMask(answer) {
    const bytes = Uint8Array.from(atob(answer.mask), one => one.charCodeAt(0));
    const canvas = part("mask"), picture = new ImageData(answer.columns, answer.rows);
    const counts = classes.map(() => 0);
    bytes.forEach((one, index) => {
      counts[one] += 1;
      picture.data.set([...colours[one % colours.length], one ? 255 : 0], 4 * index);
    });
    [canvas.width, canvas.height] = [answer.columns, answer.rows];
    canvas.getContext("2d").putImageData(picture, 0, 0);
    canvas.hidden = false;
    part("label").textContent = `${classes.length} classes`;
    part("label").classList.add("word");
    list(classes.map((name, index) => [name, counts[index] / bytes.length, index]), true);
  }

  function show(answer) {
    (answer.label ? showLabel : showMask)(answer);
    const whose = answer.label ? "" : " on average over the pixels";
    part("bar").style.width = `${100 * answer.confidence}%`;
    part("confidence").textContent = `${(100 * answer.confidence).toFixed(1)} % confident${whose}`;
    count(answer.milliseconds);
  }

  // The middle of the camera's picture, as large as the network takes it.
  function take(video, context, invert) {
    const scale = Math.min(video.videoWidth / columns, video.videoHeight / rows);
    const [width, height] = [scale * columns, scale * rows];
    const [left, top] = [(video.videoWidth - width) / 2, (video.videoHeight - height) / 2];
    context.drawImage(video, left, top, width, height, 0, 0, columns, rows);
    const picture = context.getImageData(0, 0, columns, rows), bytes = new Uint8Array(3 * rows * columns);
    for (let pixel = 0, to = 0; pixel < picture.data.length; pixel += 4) {
      for (let colour = 0; colour < 3; colour += 1) bytes[to++] = picture.data[pixel + colour];
      let shown = [...picture.data.slice(pixel, pixel + 3)];
      if (grey) shown = Array(3).fill(0.299 * shown[0] + 0.587 * shown[1] + 0.114 * shown[2]);
      picture.data.set(invert ? shown.map(one => 255 - one) : shown, pixel);
    }
    context.putImageData(picture, 0, 0);
    return bytes;
  }

  async function ask(bytes, invert) {
    const reply = await fetch(`${address}invert=${invert ? 1 : 0}`, {method: "POST", body: bytes});
    const answer = await reply.json();
    if (!reply.ok) throw new Error(answer.said);
    return answer;
  }

  async function follow(video) {
    const context = part("seen").getContext("2d", {willReadFrequently: true});
    [part("seen").width, part("seen").height] = [columns, rows];
    for (;;) {
      const invert = part("invert").checked;
      try {
        show(await ask(take(video, context, invert), invert));
        say("");
      } catch (error) {
        say(error instanceof TypeError ? "The program does not answer; start it again." : error.message);
        await new Promise(next => setTimeout(next, 1000));
      }
      await new Promise(requestAnimationFrame);
    }
  }

  async function followCamera() {
    const video = part("video");
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({video: true});
      await video.play();
    } catch (error) {
      say(error.name === "NotAllowedError"
        ? "The camera was refused: allow it beside the address of this page, and load the page again."
        : `There is no camera to be used (${error.name}): connect one and load the page again, or start with --folder.`);
      setTimeout(followCamera, 3000);
      return;
    }
    say("");
    follow(video);
  }

  async function followFolder() {
    part("source").textContent = `folder ${folder}`;
    part("invert").parentElement.hidden = true;
    for (;;) {
      try {
        const answer = await (await fetch("/latest")).json();
        say(answer.said);
        if (answer.number > number) {
          number = answer.number;
          part("source").textContent = `folder ${folder}: ${answer.file}`;
          show(answer);
        }
      } catch (error) {
        say("The program does not answer; start it again.");
      }
      await new Promise(next => setTimeout(next, 50));
    }
  }

  function start() {
    if (!part("video")) return setTimeout(start, 20); // the page is still being put together
    (folder === null ? followCamera : followFolder)();
  }
  start();
})();
