package org.deft4j.diffusion.omnigen;

/**
 * The places {@code start .. end - 1} of a row of tokens that one input picture takes, one for each 16 x 16 pixels in raster
 * order.
 *
 * @param picture which of the row's input pictures, counted from 0; one that the prompt names twice has two spans
 * @param start the first place
 * @param end one after the last
 */
public record ImageSpan(int picture, int start, int end) {
  /**
   * A span.
   *
   * @throws IllegalArgumentException if the picture or the start is negative, or the span has no place
   */
  public ImageSpan {
    if (picture < 0 || start < 0 || end <= start) {
      throw new IllegalArgumentException("image span: picture " + picture + " at places " + start + " to " + end
          + ": a picture and a start of at least 0 are needed, and an end beyond the start");
    }
  }

  /** How many tokens the picture takes. */
  public int length() {
    return end - start;
  }

  /** The same span of a row with {@code places} more before it. */
  ImageSpan after(int places) {
    return new ImageSpan(picture, start + places, end + places);
  }
}
