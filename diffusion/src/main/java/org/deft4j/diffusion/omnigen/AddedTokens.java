package org.deft4j.diffusion.omnigen;

import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Added tokens, found where they stand in a text: the leftmost first, of those the longest, as the tokenizers library does. */
final class AddedTokens {
  private final Map<String, AddedToken> tokens = new HashMap<>();
  /** Null where there is no token. */
  private final Pattern pattern;

  AddedTokens(List<AddedToken> tokens) {
    tokens.forEach(token -> this.tokens.put(token.content(), token));
    // Of alternatives the first that matches is taken.
    pattern = tokens.isEmpty() ? null : Pattern.compile(this.tokens.keySet().stream()
        .sorted(Comparator.comparingInt(String::length).reversed()).map(Pattern::quote).collect(Collectors.joining("|")));
  }

  /** What lies between tokens: from {@code from} up to {@code to}, never empty. */
  interface Between {
    void accept(int from, int to);
  }

  /** Hands tokens, by id, and what lies between them to the consumers in the order of the text. */
  void split(String text, Between between, IntConsumer ids) {
    int from = 0;
    if (pattern != null) {
      Matcher matcher = pattern.matcher(text);
      while (matcher.find()) {
        AddedToken token = tokens.get(matcher.group());
        if (token.counts(text, matcher.start(), matcher.end())) {
          int begin = token.begin(text, from, matcher.start());
          int end = token.end(text, matcher.end());
          if (from < begin) {
            between.accept(from, begin);
          }
          if (begin < end) { // Otherwise it is whitespace that went with the token before it.
            ids.accept(token.id());
            from = end;
          }
        }
      }
    }
    if (from < text.length()) {
      between.accept(from, text.length());
    }
  }
}
