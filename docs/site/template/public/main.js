// Options of the modern template.
export default {
  defaultTheme: 'auto',
  // A block without a language is commands or what a program printed: guessed colours would mislead.
  configureHljs: hljs => hljs.configure({ languages: [] }),
}
