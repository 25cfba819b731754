package org.deft4j.weights;

import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.util.JsonParserDelegate;
import java.io.IOException;
import java.util.Map;

/**
 * The three words for numbers that are not finite, as Python's {@code json} writes them into configurations (the {@code
 * "lambda_min_clipped": -Infinity} of diffusers' schedulers), and none of the other spellings that Jackson would take. They
 * come out as {@link Float}, which no other number does, so that a number too large for a double is told apart from them.
 */
final class PythonNumbers extends JsonParserDelegate {
  private static final Map<String, Float> WORDS = Map.of("NaN", Float.NaN, "Infinity", Float.POSITIVE_INFINITY, "-Infinity",
      Float.NEGATIVE_INFINITY);

  PythonNumbers(JsonParser parser) {
    super(parser);
  }

  @Override
  public JsonParser.NumberType getNumberType() throws IOException {
    if (!delegate.isNaN()) {
      return super.getNumberType();
    }
    String text = delegate.getText();
    if (WORDS.containsKey(text)) {
      return JsonParser.NumberType.FLOAT;
    }
    if (text.chars().anyMatch(Character::isLetter) && text.chars().noneMatch(Character::isDigit)) {
      throw new JsonParseException(delegate, "Unrecognized token '" + text + "'");
    }
    return super.getNumberType();
  }

  @Override
  public float getFloatValue() throws IOException {
    return WORDS.get(delegate.getText());
  }
}
