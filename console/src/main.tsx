import "@radix-ui/themes/styles.css";
import "./page.css";

import { Theme } from "@radix-ui/themes";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";

const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <Theme accentColor="jade" grayColor="slate" radius="large" appearance={dark ? "dark" : "light"}>
      <App />
    </Theme>
  </StrictMode>,
);
