//! One simulated patient: organs, two kidneys and perhaps a lesion, cut at any height.
//!
//! Densities are those of a contrast-enhanced CT: fat about -100 HU, water and cyst 0-15, muscle 60,
//! liver 110, kidney cortex 130-210, bone above 250 (Prokop and Galanski, "Spiral and Multislice
//! Computed Tomography of the Body", 2003). A cyst is round, even and sharp (Bosniak I); a tumour is
//! lobed, uneven, weaker than the cortex, and bulges out of the kidney.

use std::f64::consts::{PI, TAU};

use crate::phantom_region::{AIR, Point, Region, Slice};
use crate::sampling::Sampler;

/// What a kidney may have. The order is the order of the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Two healthy kidneys.
    Normal,
    /// One simple cyst.
    Cyst,
    /// One solid tumour.
    Tumour,
}

#[derive(Debug, Clone)]
struct Kidney {
    centre: Point,
    half_axes: (f64, f64),
    tilt: f64,
    /// +1 for the image's right side, -1 for the left.
    side: f64,
    sinus: f64,
    pyramid_phase: f64,
}

#[derive(Debug, Clone)]
struct Lesion {
    kidney: usize,
    angle: f64,
    depth: f64,
    radius: f64,
    /// In Hounsfield units; of a tumour, between its nests and cores.
    density: f64,
    /// Height of its centre.
    height: f64,
    lobes: [(f64, f64); 3],
    phase: f64,
}

#[derive(Debug, Clone)]
struct Bowel {
    centre: Point,
    radius: f64,
    content: f64,
}

/// Everything that stays the same over the slices of one patient.
#[derive(Debug, Clone)]
pub(crate) struct Patient {
    finding: Finding,
    width: f64,
    depth: f64,
    fat: f64,
    cortex: f64,
    medulla: f64,
    vessel: f64,
    liver: (Point, f64),
    gallbladder: Option<Point>,
    spleen: Point,
    bowels: Vec<Bowel>,
    kidneys: [Kidney; 2],
    lesion: Lesion,
    phase: f64,
}

impl Patient {
    /// Draws a patient. `difficulty` from 0 (large, clear lesions) to 1 (small, faint ones).
    pub(crate) fn draw(finding: Finding, difficulty: f64, sampler: &mut Sampler) -> Self {
        let cortex = sampler.uniform(160.0, 200.0);
        let s = sampler;
        let patient_tilt = s.uniform(-0.15, 0.15);
        let kidney = |side: f64, s: &mut Sampler| Kidney {
            centre: Point { x: side * s.uniform(0.45, 0.52), y: s.uniform(0.15, 0.22) },
            half_axes: (s.uniform(0.18, 0.215), s.uniform(0.23, 0.27)),
            tilt: -side * s.uniform(0.2, 0.45) + patient_tilt,
            side,
            sinus: s.uniform(0.25, 0.45),
            pyramid_phase: s.uniform(0.0, TAU),
        };
        let kidneys = [kidney(-1.0, s), kidney(1.0, s)];
        let bowels = (0..3 + s.below(3)).map(|_| Bowel::draw(s)).collect();
        Patient {
            finding,
            width: s.uniform(0.93, 1.04),
            depth: s.uniform(0.68, 0.78),
            fat: s.uniform(0.04, 0.12),
            cortex,
            medulla: cortex - s.uniform(10.0, 35.0),
            vessel: cortex + s.uniform(-20.0, 20.0),
            liver: (Point { x: s.uniform(-0.58, -0.48), y: s.uniform(-0.22, -0.1) }, s.uniform(0.34, 0.44)),
            gallbladder: (s.unit() < 0.5).then(|| Point { x: s.uniform(-0.4, -0.2), y: s.uniform(-0.3, -0.12) }),
            spleen: Point { x: s.uniform(0.68, 0.78), y: s.uniform(-0.1, 0.06) },
            bowels,
            kidneys,
            lesion: Lesion::draw(finding, cortex, difficulty, s),
            phase: s.uniform(0.0, TAU),
        }
    }

    /// The slice at `height` from the lesion's level, in units of half a body's width.
    pub(crate) fn cut(&self, height: f64) -> Slice {
        let cavity = Region::ellipse(
            Point { x: 0.0, y: 0.0 },
            (self.width - self.fat - 0.06, self.depth - self.fat - 0.06),
            0.0,
            -100.0,
        );
        let mut regions = self.trunk(&cavity);
        self.add_organs(height, &mut regions);
        for kidney in &self.kidneys {
            kidney.add_to(&mut regions, height, self.cortex, self.medulla);
        }
        if self.finding != Finding::Normal {
            let kidney = &self.kidneys[self.lesion.kidney];
            self.lesion.add_to(&mut regions, height, kidney, self.finding, self.cortex);
        }
        Slice { regions, cavity }
    }

    /// Fat, wall, spine, muscles, ribs.
    fn trunk(&self, cavity: &Region) -> Vec<Region> {
        let at = |x: f64, y: f64| Point { x, y };
        let (w, d) = (self.width, self.depth);
        let back = d - self.fat;
        let mut regions = vec![
            Region::ellipse(at(0.0, 0.0), (w, d), 0.0, 20.0),
            Region::ellipse(at(0.0, 0.0), (w - 0.02, d - 0.02), 0.0, -105.0).grained(6.0, 3.0, self.phase),
            Region::ellipse(at(0.0, 0.0), (w - self.fat, back), 0.0, 58.0).grained(12.0, 4.0, self.phase),
            cavity.clone().grained(9.0, 2.0, self.phase + 1.0),
        ];
        for side in [-1.0, 1.0] {
            regions.push(
                Region::ellipse(at(side * 0.2, back - 0.15), (0.2, 0.125), side * 0.2, 62.0)
                    .grained(10.0, 5.0, self.phase),
            );
            regions.push(Region::ellipse(at(side * 0.215, back - 0.32), (0.085, 0.12), -side * 0.3, 62.0));
            regions.push(Region::ellipse(at(side * 0.13, back - 0.22), (0.1, 0.022), side * 0.35, 330.0));
            for angle in [0.15, 0.55, 0.95] {
                let rib = at(side * (w - self.fat - 0.03) * f64::cos(angle), (back - 0.03) * f64::sin(angle));
                regions.push(Region::ellipse(rib, (0.065, 0.022), PI / 2.0 - side * (angle - 0.25), 380.0));
            }
        }
        regions.push(Region::ellipse(at(0.0, back - 0.2), (0.1, 0.085), 0.0, 420.0));
        regions.push(Region::ellipse(at(0.0, back - 0.08), (0.022, 0.08), 0.0, 380.0));
        regions.push(Region::ellipse(at(0.0, back - 0.35), (0.15, 0.115), 0.0, 320.0));
        regions.push(Region::ellipse(at(0.0, back - 0.35), (0.13, 0.095), 0.0, 210.0).grained(35.0, 6.0, self.phase));
        regions.push(Region::ellipse(at(0.0, back - 0.2), (0.06, 0.05), 0.0, 35.0));
        regions
    }

    /// Liver, gallbladder, spleen, great vessels, bowel.
    fn add_organs(&self, height: f64, regions: &mut Vec<Region>) {
        let at = |x: f64, y: f64| Point { x, y };
        let (liver, size) = self.liver;
        let size = size * (1.0 + 0.25 * height);
        let spine = self.depth - self.fat - 0.35;
        let soft = [(0.06, self.phase), (0.05, 2.0 * self.phase), (0.02, 0.0)];
        regions.push(
            Region::ellipse(liver, (size, 0.85 * size), 0.35, 108.0)
                .lobed(soft)
                .grained(7.0, 4.0, self.phase)
                .clipped(),
        );
        regions
            .push(Region::ellipse(at(liver.x + 0.36, liver.y - 0.2), (0.7 * size, 0.4 * size), -0.3, 108.0).clipped());
        if let Some(centre) = self.gallbladder {
            regions.push(Region::ellipse(centre, (0.07, 0.1), 0.4, 8.0).clipped());
        }
        regions
            .push(Region::ellipse(self.spleen, (0.13, 0.26 * (1.0 + 0.3 * height)), 0.15, 118.0).lobed(soft).clipped());
        for (index, bowel) in self.bowels.iter().enumerate() {
            let swing = Point::polar(0.08 * height, self.phase + 1.7 * index as f64);
            bowel.add_to(regions, swing);
        }
        regions.push(Region::ellipse(at(0.07, spine - 0.19), (0.062, 0.062), 0.0, self.vessel));
        regions.push(Region::ellipse(at(-0.1, spine - 0.18), (0.07, 0.05), 0.2, self.vessel - 25.0));
    }
}

impl Bowel {
    fn draw(s: &mut Sampler) -> Self {
        let content = match s.below(5) {
            0 => AIR,
            1 | 2 => s.uniform(5.0, 30.0),
            3 => s.uniform(60.0, 110.0),
            _ => s.uniform(180.0, 260.0),
        };
        Bowel {
            centre: Point { x: s.uniform(-0.15, 0.62), y: s.uniform(-0.48, -0.08) },
            radius: s.uniform(0.07, 0.14),
            content,
        }
    }

    fn add_to(&self, regions: &mut Vec<Region>, swing: Point) {
        let centre = self.centre.plus(swing);
        regions.push(Region::ellipse(centre, (self.radius, 0.85 * self.radius), 0.0, 75.0).clipped());
        let inner = 0.72 * self.radius;
        regions.push(Region::ellipse(centre, (inner, 0.85 * inner), 0.0, self.content).clipped());
    }
}

impl Kidney {
    /// Size of the cross-section at a height: largest at the middle, never gone in a drawn slice.
    fn section(height: f64) -> f64 {
        (1.0 - (height / 0.9).powi(2)).max(0.5).sqrt()
    }

    fn add_to(&self, regions: &mut Vec<Region>, height: f64, cortex: f64, medulla: f64) {
        let scale = Self::section(height);
        let (a, b) = (self.half_axes.0 * scale, self.half_axes.1 * scale);
        regions.push(Region::ellipse(self.centre, (a, b), self.tilt, cortex).lobed([
            (0.0, 0.0),
            (0.03, self.pyramid_phase),
            (0.015, 0.0),
        ]));
        for pyramid in 0..6 {
            let angle = TAU * f64::from(pyramid) / 6.0 + self.pyramid_phase + height;
            let local = Point { x: 0.56 * a * angle.cos(), y: 0.6 * b * angle.sin() };
            let (cos, sin) = (self.tilt.cos(), self.tilt.sin());
            let offset = Point { x: local.x * cos - local.y * sin, y: local.x * sin + local.y * cos };
            regions.push(Region::ellipse(self.centre.plus(offset), (0.24 * a, 0.22 * b), self.tilt, medulla));
        }
        // The sinus opens towards the spine: fat around vessels and the renal pelvis.
        let medial = Point { x: -self.side * 0.42 * a, y: 0.0 };
        let sinus = self.sinus * (1.0 - 0.6 * height.abs());
        regions.push(Region::ellipse(self.centre.plus(medial), (0.95 * sinus * a, 0.62 * sinus * b), self.tilt, -60.0));
        regions.push(Region::ellipse(self.centre.plus(medial), (0.6 * sinus * a, 0.25 * sinus * b), self.tilt, 60.0));
    }

    /// A point at `depth` of the way from the centre to the outline in direction `angle` from the
    /// side that faces away from the spine.
    fn towards(&self, angle: f64, depth: f64, height: f64) -> Point {
        let scale = Self::section(height) * depth;
        let turned = if self.side > 0.0 { angle } else { PI - angle };
        let local = Point { x: self.half_axes.0 * scale * turned.cos(), y: self.half_axes.1 * scale * turned.sin() };
        let (cos, sin) = (self.tilt.cos(), self.tilt.sin());
        self.centre.plus(Point { x: local.x * cos - local.y * sin, y: local.x * sin + local.y * cos })
    }
}

impl Lesion {
    fn draw(finding: Finding, cortex: f64, difficulty: f64, s: &mut Sampler) -> Self {
        // A tumour must be large enough to show its unevenness at a coarse pixel; a cyst need not.
        let radius_min = if finding == Finding::Cyst { 0.175 } else { 0.215 } - 0.06 * difficulty;
        let density = match finding {
            Finding::Cyst => s.uniform(-5.0, 12.0),
            // Weaker than the cortex; the harder, the closer to it.
            _ => cortex - s.uniform(25.0, 80.0) + 40.0 * (difficulty - 0.5),
        };
        let lobe = |s: &mut Sampler, amplitude: f64| (amplitude * s.uniform(0.5, 1.0), s.uniform(0.0, TAU));
        Lesion {
            kidney: s.below(2),
            angle: s.uniform(-1.7, 1.7),
            depth: s.uniform(0.55, 1.0),
            radius: s.uniform(radius_min, radius_min + 0.075),
            density,
            height: s.uniform(-0.1, 0.1),
            lobes: [lobe(s, 0.12), lobe(s, 0.12), lobe(s, 0.08)],
            phase: s.uniform(0.0, TAU),
        }
    }

    fn add_to(&self, regions: &mut Vec<Region>, height: f64, kidney: &Kidney, finding: Finding, cortex: f64) {
        let away = (height - self.height) / 0.45;
        let radius = self.radius * (1.0 - away * away).max(0.6).sqrt();
        let centre = kidney.towards(self.angle, self.depth, height);
        if finding == Finding::Cyst {
            regions.push(Region::ellipse(centre, (radius, 0.95 * radius), self.phase, self.density));
            return;
        }
        let mass = Region::ellipse(centre, (1.08 * radius, radius), self.phase, self.density);
        regions.push(mass.lobed(self.lobes).grained(15.0, 6.0, self.phase));
        // Dead cores between living, vessel-rich nests: the unevenness that tells a tumour from a cyst.
        let spots = [(0.0, 0.36, 10.0), (0.3, 0.34, cortex + 75.0), (0.5, 0.3, 10.0), (0.74, 0.34, cortex + 75.0)];
        for (turn, size, density) in spots {
            let spot = centre.plus(Point::polar(0.55 * radius, self.phase + TAU * turn + 0.5 * height));
            regions.push(
                Region::ellipse(spot, (1.2 * size * radius, size * radius), self.phase, density).lobed(self.lobes),
            );
        }
    }
}
