package org.deft4j.deft;

import java.util.EnumSet;
import java.util.Set;
import org.deft4j.deft.testing.Claim;
import org.deft4j.deft.testing.DecompositionProperties;

/** The example of docs/projections.md: a decomposition of one's own is held to what it claims by one small class. */
class OwnDecompositionPropertiesTest extends DecompositionProperties {
  @Override
  protected Decomposition decomposition() {
    return new OwnDecompositionTest.UnitColumns();
  }

  @Override
  protected Set<Claim> claims() {
    return EnumSet.of(Claim.SYMMETRIC, Claim.ONE_SPAN, Claim.STARTS_AS_IDENTITY);
  }
}
