import { render } from "preact";
import { App } from "./app";
import { restore } from "./lib/theme";
import { showControlCharacters } from "./lib/visible";
import "./styles/main.css";

showControlCharacters();
restore();
const root = document.getElementById("app");
if (root) render(<App />, root);
