package org.deft4j.deft.data;

import java.util.List;
import java.util.Map;
import org.deft4j.tensor.RandomSource;

/** Ways of saying the same, of which one is drawn; words in braces stand for what is put in. */
final class Phrasings {
  /** How the pictures are laid out: {rows} as in "3 rows", {columns} as in "2 pictures". */
  static final Phrasings LAYOUT = new Phrasings("There are {rows} of {columns} each.",
      "You see {rows}, and in each of them {columns}.", "The pictures come in {rows} with {columns} per row.",
      "What follows is set out as {rows} of {columns}.", "Read the pictures as {rows}, every one with {columns}.",
      "Picture a table of {rows} with {columns} side by side.", "The table has {rows}; a row is made of {columns}.",
      "Here is a sheet with {rows}, {columns} to a row.", "In all there are {rows}, each holding {columns}.",
      "Think of {rows} one below the other, with {columns} from left to right.");

  /** What happens in a row: {conditions} and {target} are descriptions. */
  static final Phrasings TASK = new Phrasings("Each row leads from {conditions} to {target}.",
      "Every row begins with {conditions} and ends with {target}.", "In each row, {target} is made from {conditions}.",
      "Along each row the way goes from {conditions} to {target}.", "A row always turns {conditions} into {target}.",
      "The rule of every row: given {conditions}, make {target}.", "All rows do the same, from {conditions} to {target}.",
      "Whatever the row, {conditions} become {target}.", "The same step is taken in each row, from {conditions} to {target}.",
      "Each row starts out from {conditions}; its last picture is {target}.");

  /** What the picture to be made shows: {content}. */
  static final Phrasings CONTENT = new Phrasings("The last picture shows this: {content}",
      "What is wanted in the last place: {content}", "Fill the last place with the following: {content}",
      "The missing picture is described so: {content}", "In the last picture one sees this: {content}",
      "To be made at the end of the last row: {content}", "This belongs at the end: {content}",
      "The picture that is still missing: {content}", "The last row closes with this: {content}",
      "Content of the final picture: {content}");

  private final List<String> ways;

  private Phrasings(String... ways) {
    this.ways = List.of(ways);
  }

  /** All of them. */
  List<String> ways() {
    return ways;
  }

  /** One of them, with its braces filled. */
  String draw(RandomSource random, Map<String, String> words) {
    String text = ways.get((int) random.between(0, ways.size()));
    for (Map.Entry<String, String> word : words.entrySet()) {
      text = text.replace("{" + word.getKey() + "}", word.getValue());
    }
    return text;
  }
}
